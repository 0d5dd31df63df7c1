import { create } from "../runtime/create.ts";
import { defineCommand } from "./command.ts";
import { CREATION_OPTIONS, creationOptions } from "./creation.ts";

export const command = defineCommand({
  name: "create",
  summary: "create a container that waits for its start",
  operands: "<container-id>",
  description:
    'Does all that a container needs but the execution of its program, which "berth start" does. The id is unique\non this host.',
  options: CREATION_OPTIONS,
  takes: [1, 1],
  async run(invocation) {
    await create(creationOptions(invocation));
  },
});
