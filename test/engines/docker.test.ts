import { operations } from "./docker.operations.ts";
import { docker } from "./docker.ts";
import { compareRuntimes } from "./suite.ts";

compareRuntimes(docker, operations);
