import { operations } from "./containerd.operations.ts";
import { containerd } from "./containerd.ts";
import { compareRuntimes } from "./suite.ts";

compareRuntimes(containerd, operations);
