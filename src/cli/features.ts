import { features } from "../runtime/features.ts";
import { defineCommand } from "./command.ts";
import { print } from "./output.ts";

export const command = defineCommand({
  name: "features",
  summary: "show what this build of berth can do, as JSON",
  operands: "",
  description:
    "The document is that of runtime-spec's features.md. It is the same on every host: whether the kernel can do it\nas well is another question.",
  options: {},
  takes: [0, 0],
  run() {
    print(`${JSON.stringify(features(), null, 4)}\n`);
    return undefined;
  },
});
