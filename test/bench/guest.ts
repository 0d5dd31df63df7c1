/** The benchmark in a virtual machine: the guest of the tests, with every controller of cgroup v2. */
import { join } from "node:path";
import { boot, guestShare, project, quote, withShare } from "../vm/machine.ts";
import { environment } from "./host.ts";

/** Runs this program in a guest with these arguments. @returns what it wrote as its report */
export async function measureInGuest(args: readonly string[]): Promise<string> {
  const bun = join(project, "node_modules/bun/bin/bun.exe");
  const command = [bun, join(import.meta.dirname, "main.ts"), ...args].map(quote).join(" ");
  const line = `cd ${quote(project)} && ${environment("vm", `${guestShare}/report`)} exec ${command}`;
  const end = await withShare((share) => boot("plain", line, share, (text) => process.stderr.write(text)));
  if (end.kind !== "exited") throw new Error(`the VM gave no result: ${end.reason}`);
  if (end.status !== 0) throw new Error(`the benchmark failed in the VM, with status ${end.status}`);
  return end.report;
}
