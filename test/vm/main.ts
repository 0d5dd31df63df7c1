/** `npm run test:vm`: runs the tests that need a machine of their own in virtual ones, and tells what came of it. */
import { join } from "node:path";
import { whyNotHere } from "../known.ts";
import { boot, guestShare, type Init, project, quote, withShare } from "./machine.ts";

interface Run {
  readonly title: string;
  readonly init: Init;
  /** Where its test files lie. */
  readonly files: readonly string[];
}

/** With --known, as in npm test: where it is known that they cannot run, and only there, it is no failure that they do not. */
const why = whyNotHere("test:vm");
if (process.argv.includes("--known") && why !== undefined) {
  process.stdout.write(`not run here: test:vm: ${why}\n`);
  process.exit(0);
}

const isAll = process.argv.includes("--all");

const integration = (names: readonly string[]) => names.map((name) => `test/integration/${name}.test.ts`);
/** What is about cgroups and a container's life, on a host without v1. All files take most of an hour, and only run when asked for. */
const unified = ["cgroup", "cgroups", "cgroups-devices", "events", "lifecycle", "limits", "update"];
/** Where systemd has the cgroups, and berth makes its own among them. */
const besideSystemd = ["cgroup", "update"];

const runs: readonly Run[] = [
  {
    title: "cgroup v2 alone",
    init: "plain",
    files: ["test/vm/*.test.ts", ...integration(isAll ? ["*"] : unified)],
  },
  { title: "systemd", init: "systemd", files: ["test/vm/systemd/*.test.ts", ...integration(besideSystemd)] },
];

/** As Vitest does, parts of a path; what begins with "-" is for Vitest. */
const given = process.argv.slice(2).filter((argument) => argument !== "--all" && argument !== "--known");
const filters = given.filter((argument) => !argument.startsWith("-"));
const options = given.filter((argument) => argument.startsWith("-"));

/** The test files of a run that were asked for, from the project's directory. */
function filesOf({ files }: Run): string[] {
  const found = files.flatMap((pattern) => [...new Bun.Glob(pattern).scanSync(project)]).sort();
  return found.filter((path) => filters.length === 0 || filters.some((filter) => path.includes(filter)));
}

async function perform({ title, init }: Run, files: readonly string[]): Promise<boolean> {
  const started = performance.now();
  const bun = join(project, "node_modules/bun/bin/bun.exe");
  const vitest = join(project, "node_modules/.bin/vitest");
  const report = `--outputFile.json=${guestShare}/report`;
  const command = [bun, "--bun", vitest, "run", report, ...options, ...files];
  const line = `cd ${quote(project)} && BERTH_VM=${init} exec ${command.map(quote).join(" ")}`;
  process.stdout.write(`\n--- VM: ${title} ---\n`);
  const attempt = () => withShare((share) => boot(init, line, share, (text) => process.stdout.write(text)));
  let end = await attempt();
  if (end.kind === "not-ready") {
    process.stderr.write(`the VM did not start, and is tried once more: ${end.reason}\n`);
    end = await attempt();
  }
  const seconds = Math.round((performance.now() - started) / 1000);
  if (end.kind !== "exited") {
    process.stderr.write(`berth: the VM "${title}" gave no result: ${end.reason}\n`);
    return false;
  }
  const passed = passedTests(end.report);
  const isPassed = end.status === 0 && passed !== undefined && passed > 0;
  const result = isPassed ? `${passed} passed` : `failed (status ${end.status})`;
  process.stdout.write(`--- VM: ${title}: ${result}, ${seconds} s ---\n`);
  return isPassed;
}

/** The number in Vitest's report; undefined when there is none, or one of a failure. */
function passedTests(report: string): number | undefined {
  if (report === "") return undefined;
  const read: unknown = JSON.parse(report);
  if (typeof read !== "object" || read === null || !("success" in read) || read.success !== true)
    return undefined;
  return "numPassedTests" in read && typeof read.numPassedTests === "number"
    ? read.numPassedTests
    : undefined;
}

// Each takes its machine along.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit(1));

const wanted = runs.map((run) => ({ run, files: filesOf(run) })).filter(({ files }) => files.length > 0);
if (wanted.length === 0)
  process.stderr.write(`berth: no test file for the VM has ${filters.join(" or ")} in its path\n`);
let allPassed = wanted.length > 0;
for (const { run, files } of wanted) allPassed = (await perform(run, files)) && allPassed;
process.exit(allPassed ? 0 : 1);
