import { operations } from "./podman.operations.ts";
import { podman } from "./podman.ts";
import { compareRuntimes } from "./suite.ts";

compareRuntimes(podman, operations);
