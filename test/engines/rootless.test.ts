import { operations } from "./rootless.operations.ts";
import { rootless } from "./rootless.ts";
import { compareRuntimes } from "./suite.ts";

compareRuntimes(rootless, operations);
