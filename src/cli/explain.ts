import { absolute } from "../linux/directory.ts";
import { AGAIN, type ExplainedGroup, type ExplainedStep, NEXT } from "../plan/explain.ts";
import { explain } from "../runtime/explain.ts";
import { defineCommand } from "./command.ts";
import { CREATION_OPTIONS } from "./creation.ts";
import { isRootless } from "./globals.ts";
import { print } from "./output.ts";

export const command = defineCommand({
  name: "explain",
  summary: "show what creating and starting a container would do, without doing it",
  operands: "[bundle]",
  description:
    "Prints the Plan of a bundle, by default of the working directory: the system calls in their order, grouped by phase\n" +
    "and by who makes them, each with the part of config.json that it serves. <name> is what an earlier call gave back.",
  options: {
    format: { kind: "text", default: "text", choices: ["text", "json"], help: '"text" or "json"' },
    config: CREATION_OPTIONS.config,
    "no-pivot": CREATION_OPTIONS["no-pivot"],
    "no-new-keyring": CREATION_OPTIONS["no-new-keyring"],
    "preserve-fds": CREATION_OPTIONS["preserve-fds"],
  },
  takes: [0, 1],
  async run({ values, positionals: [bundle = "."], globals: { cgroupManager, rootless, log } }) {
    const groups = await explain({
      id: "ID",
      bundle: absolute(bundle),
      config: values.config,
      noPivot: values["no-pivot"],
      noNewKeyring: values["no-new-keyring"],
      preserveFds: values["preserve-fds"],
      cgroups: cgroupManager,
      rootless: isRootless(rootless),
      warn: (message) => log.write("warning", message),
    });
    print(values.format === "json" ? `${JSON.stringify(groups, null, 2)}\n` : groupsText(groups));
  },
});

/** Groups of steps, for people. */
export function groupsText(groups: readonly ExplainedGroup[]): string {
  return groups.map((group) => `${group.by}: ${group.phase}\n${stepsText(group.steps)}`).join("\n");
}

function stepsText(steps: readonly ExplainedStep[]): string {
  const lines: string[] = [];
  let heading = "";
  for (const step of steps) {
    const wanted = [step.path, step.subject].filter((part) => part !== "").join(" ");
    if (wanted !== heading && wanted !== "") lines.push(`  ${wanted}`);
    heading = wanted;
    for (const line of stepLines(step)) lines.push(`    ${line}`);
  }
  return lines.map((line) => `${line}\n`).join("");
}

function stepLines(step: ExplainedStep): string[] {
  switch (step.kind) {
    case "call": {
      const parameters = Object.entries(step.arguments).map(([name, value]) => `${name}: ${value}`);
      const result = step.result === undefined ? "" : `<${step.result}> = `;
      const tolerated = Object.entries(step.tolerates ?? {}).map(
        ([errno, to]) =>
          `  ${errno}: ${to === NEXT ? "go on" : to === AGAIN ? "again, a few times" : goTo(to)}`,
      );
      return [`${result}${step.call}(${parameters.join(", ")})`, ...tolerated];
    }
    case "if":
      return [`if ${step.condition}: ${goTo(step.to)}`];
    case "jump":
      return [goTo(step.to)];
    case "fail":
      return [`fail with ${step.errno}: ${step.what}`];
    case "label":
      return [`"${step.label}":`];
    case "action":
      return [step.what];
  }
}

const goTo = (label: string) => `go to "${label}"`;
