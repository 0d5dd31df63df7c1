import { operations } from "./cri.operations.ts";
import { cri } from "./cri.ts";
import { compareRuntimes } from "./suite.ts";

compareRuntimes(cri, operations);
