/** `npm run test:vm`: runs the tests that need a machine of their own in virtual ones, and tells what came of it. */
import { join } from "node:path";
import { boot, type Init, project, withShare } from "./machine.ts";

interface Run {
  readonly title: string;
  readonly init: Init;
  /** The projects of vitest.config.ts that run in it. */
  readonly projects: readonly string[];
}

const runs: readonly Run[] = [
  { title: "cgroup v2 alone", init: "plain", projects: ["vm"] },
  { title: "systemd", init: "systemd", projects: ["vm-systemd"] },
];

const quote = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;

const filters = process.argv.slice(2);

async function perform({ title, init, projects }: Run): Promise<boolean> {
  const started = performance.now();
  const bun = join(project, "node_modules/bun/bin/bun.exe");
  const command = [
    ...[
      bun,
      "--bun",
      join(project, "node_modules/.bin/vitest"),
      "run",
      "--reporter=verbose",
      "--passWithNoTests",
    ],
    ...projects.flatMap((name) => ["--project", name]),
    ...filters,
  ];
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
  process.stdout.write(
    `--- VM: ${title}: ${end.status === 0 ? "passed" : `failed (${end.status})`}, ${seconds} s ---\n`,
  );
  return end.status === 0;
}

let allPassed = true;
for (const run of runs) allPassed = (await perform(run)) && allPassed;
process.exit(allPassed ? 0 : 1);
