import { describe, expect, test } from "vitest";
import {
  MPOL_BIND,
  MPOL_DEFAULT,
  MPOL_F_NUMA_BALANCING,
  MPOL_F_STATIC_NODES,
  MPOL_PREFERRED,
} from "../../src/linux/constants.ts";
import {
  checkMemoryPolicy,
  MEMORY_POLICY_FLAGS,
  MEMORY_POLICY_MODES,
  memoryPolicySteps,
} from "../../src/process/memory-policy.ts";
import { linux } from "../../src/spec/linux.ts";
import { choicesAt } from "../../src/spec/schema.ts";
import { only, rawOf } from "./steps.ts";

describe("linux.memoryPolicy", () => {
  test("is one set_mempolicy with the mode, its flags, and the nodes as bits", () => {
    const flags = ["MPOL_F_STATIC_NODES", "MPOL_F_NUMA_BALANCING"] as const;
    const call = only(
      memoryPolicySteps({ mode: "MPOL_BIND", nodes: "0-1,4", flags: [...flags] }),
      "set_mempolicy",
    );
    expect(call.args[0]).toBe(MPOL_BIND | MPOL_F_STATIC_NODES | MPOL_F_NUMA_BALANCING);
    expect(rawOf(call.args[1]).getUint32(0, true)).toBe(0b10011);
    // The kernel leaves out the last of the bits that it is told of.
    expect(call.args[2]).toBe(65);
    expect(call.path).toBe("linux.memoryPolicy");
  });

  test("nodes beyond the first 64 take another word", () => {
    const { args } = only(memoryPolicySteps({ mode: "MPOL_INTERLEAVE", nodes: "64" }), "set_mempolicy");
    expect(rawOf(args[1]).getUint32(8, true)).toBe(1);
    expect(args[2]).toBe(129);
  });

  test.each([
    ["MPOL_DEFAULT", MPOL_DEFAULT],
    ["MPOL_PREFERRED", MPOL_PREFERRED],
  ] as const)("without nodes there is no mask: %s", (mode, number) => {
    expect(only(memoryPolicySteps({ mode, nodes: "" }), "set_mempolicy").args).toEqual([number, 0, 0]);
  });

  test("every mode and flag of the schema has its number", () => {
    expect(Object.keys(MEMORY_POLICY_MODES).sort()).toEqual(choicesAt(linux, "memoryPolicy", "mode").sort());
    expect(Object.keys(MEMORY_POLICY_FLAGS).sort()).toEqual(choicesAt(linux, "memoryPolicy", "flags").sort());
  });

  test("nodes that this machine has not are an error, unless they are relative ones", () => {
    const far = { mode: "MPOL_BIND", nodes: "900-901" } as const;
    expect(() => checkMemoryPolicy(far)).toThrow('linux.memoryPolicy.nodes "900-901": none of these nodes');
    expect(() => checkMemoryPolicy({ ...far, flags: ["MPOL_F_RELATIVE_NODES"] })).not.toThrow();
    expect(() => checkMemoryPolicy({ ...far, nodes: "0-900" })).not.toThrow();
    expect(() => checkMemoryPolicy({ mode: "MPOL_LOCAL" })).not.toThrow();
  });
});
