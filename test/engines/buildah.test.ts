import { operations } from "./buildah.operations.ts";
import { buildah } from "./buildah.ts";
import { compareRuntimes } from "./suite.ts";

compareRuntimes(buildah, operations);
