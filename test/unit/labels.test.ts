import { describe, expect, test } from "vitest";
import {
  FSCONFIG_SET_STRING,
  O_WRONLY,
  RESOLVE_BENEATH,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_XDEV,
} from "../../src/linux/constants.ts";
import { ENOENT } from "../../src/linux/errno.ts";
import { isAppArmorEnabled, isSelinuxEnabled } from "../../src/linux/security.ts";
import type { Step } from "../../src/plan/step.ts";
import { checkLabels, keyLabelSteps, labelSteps } from "../../src/process/labels.ts";
import { maskedPathSteps } from "../../src/rootfs/paths.ts";
import { createSlots } from "../../src/rootfs/scope.ts";
import { compile } from "../../src/runtime/compile.ts";
import { specialSteps } from "../../src/runtime/special.ts";
import { rootfsContext, rootfsSpec, short, stepsOf } from "./rootfs.ts";
import { callNames, calls, fieldsOf, rawOf } from "./steps.ts";

const PROC = 9;
const LABEL = "system_u:object_r:container_file_t:s0:c1,c2";

/** What is written to which attribute of the process. */
function written(steps: readonly Step[]): [file: unknown, text: string][] {
  const all = calls(steps);
  return all
    .filter(({ call }) => call === "openat2")
    .map(({ args: [, file] }, i) => {
      const bytes = rawOf(all[3 * i + 1]?.args[1]);
      return [file, new TextDecoder().decode(bytes.buffer as ArrayBuffer)];
    });
}

describe("process.apparmorProfile and process.selinuxLabel", () => {
  test("are written to the process's own attributes, below a procfs that was checked", () => {
    const steps = labelSteps({ cwd: "/", apparmorProfile: "box profile", selinuxLabel: LABEL }, PROC);
    expect(callNames(steps)).toEqual(["openat2", "write", "close", "openat2", "write", "close"]);
    expect(written(steps)).toEqual([
      ["self/attr/apparmor/exec", "exec box profile"],
      ["self/attr/exec", LABEL],
    ]);
    for (const { args } of calls(steps).filter(({ call }) => call === "openat2")) {
      expect(args[0]).toBe(PROC);
      const { flags = 0, resolve = 0 } = fieldsOf(args[2]);
      expect(flags & O_WRONLY).toBe(O_WRONLY);
      const needed = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
      expect(resolve & needed).toBe(needed);
    }
    // Podman tells a missing profile from other errors by this.
    expect(calls(steps)[1]).toMatchObject({ path: "process.apparmorProfile" });
    expect(calls(steps)[1]?.what).toMatch(/`\/proc\/[a-z0-9-].+\/attr.*`/);
    expect(calls(steps)[1]?.hints?.[ENOENT]).toContain("apparmor_parser");
  });

  test.each([undefined, { cwd: "/" }, { cwd: "/", apparmorProfile: "", selinuxLabel: "" }])(
    "of %j are none",
    (process) => {
      expect([...labelSteps(process, PROC), ...keyLabelSteps(process, PROC)]).toEqual([]);
    },
  );

  test("the session keyring gets the process's label, and before it is made", () => {
    const process = { cwd: "/", args: ["/x"], selinuxLabel: LABEL };
    expect(written(keyLabelSteps(process, PROC))).toEqual([["self/attr/keycreate", LABEL]]);
    const spec = { ...rootfsSpec(), process };
    const planWith = (noNewKeyring: boolean) =>
      calls(
        compile(spec, {
          id: "x",
          bundle: "/b",
          rootfs: "/b/rootfs",
          noPivot: false,
          noNewKeyring,
          preserveFds: 0,
          stdio: [],
          mayMakeDevices: true,
          mayTrace: true,
          lastCapability: 40,
          cgroup: null,
          special: specialSteps,
          seccomp: undefined,
        }).init,
      );
    const plan = planWith(false);
    const keyring = plan.findIndex(({ call }) => call === "keyctl");
    const label = plan.findIndex(({ args }) => args[1] === "self/attr/keycreate");
    expect([label >= 0, label < keyring]).toEqual([true, true]);
    expect(planWith(true).some(({ args }) => args[1] === "self/attr/keycreate")).toBe(false);
    // The label itself comes before the user, the capabilities and no_new_privs.
    const exec = plan.findIndex(({ args }) => args[1] === "self/attr/exec");
    expect(exec).toBeGreaterThan(keyring);
    expect(exec).toBeLessThan(plan.findIndex(({ call }) => call === "setresuid"));
  });
});

describe("linux.mountLabel", () => {
  const context = rootfsContext({ mountLabel: LABEL });
  const labels = (steps: readonly Step[]) =>
    calls(steps).filter(({ call, args }) => call === "fsconfig" && args[2] === "context");

  test.each(["tmpfs", "devpts", "ext4", "overlay"])("is an option of a new %s", (type) => {
    const steps = stepsOf({ destination: "/x", type, source: "x" }, context);
    const [option] = labels(steps);
    expect(option?.args.slice(1, 4)).toEqual([FSCONFIG_SET_STRING, "context", LABEL]);
    expect(option?.what).toContain("linux.mountLabel");
  });

  test.each(["proc", "sysfs", "mqueue", "cgroup"])(
    "is none of %s, which the kernel labels itself",
    (type) => {
      const all = stepsOf({ destination: `/${type}`, type, source: "x" }, context);
      // The empty tmpfs that stands in for cgroups where there are none is one like all others.
      const own =
        type === "cgroup"
          ? all.slice(
              0,
              all.findIndex((step) => step.kind === "mark"),
            )
          : all;
      expect(labels(own)).toEqual([]);
    },
  );

  test("of an mqueue is set on its root", () => {
    const steps = short(stepsOf({ destination: "/dev/mqueue", type: "mqueue", source: "x" }, context));
    const at = steps.findIndex((step) => step.startsWith("setxattr"));
    expect(steps.slice(at - 1, at + 1)).toEqual([
      "fchdir <mount>",
      `setxattr . security.selinux ${LABEL} ${LABEL.length} 0`,
    ]);
  });

  test("is left alone where the options have a context, and where files are another mount's", () => {
    const own = stepsOf({ destination: "/x", type: "tmpfs", options: ["context=a:b:c"] }, context);
    expect(labels(own).map(({ args }) => args[3])).toEqual(["a:b:c"]);
    expect(labels(stepsOf({ destination: "/x", source: "/y", options: ["bind"] }, context))).toEqual([]);
    expect(labels(stepsOf({ destination: "/x", type: "tmpfs" }))).toEqual([]);
  });

  test("is quoted where mount(2) takes all options as one string", () => {
    const steps = stepsOf({ destination: "/x", type: "tmpfs", options: ["silent", "size=1k"] }, context);
    const mount = calls(steps).find(({ call }) => call === "mount");
    expect(mount?.args[4]).toBe(`size=1k,context="${LABEL}"`);
  });

  test("is that of what covers masked directories", () => {
    const spec = rootfsSpec({ linux: { maskedPaths: ["/sys/firmware"] } });
    expect(labels(maskedPathSteps(spec, context, createSlots()))).toHaveLength(1);
  });
});

test("a module that is not there is an error, and an empty label is none", () => {
  expect(() => checkLabels({ cwd: "/", apparmorProfile: "", selinuxLabel: "" }, "")).not.toThrow();
  if (!isAppArmorEnabled()) {
    expect(() => checkLabels({ cwd: "/", apparmorProfile: "box" }, undefined)).toThrow(
      'process.apparmorProfile "box": AppArmor is not enabled on this host',
    );
  }
  if (!isSelinuxEnabled()) {
    expect(() => checkLabels({ cwd: "/", selinuxLabel: LABEL }, undefined)).toThrow(
      `process.selinuxLabel "${LABEL}": SELinux is not enabled on this host`,
    );
    expect(() => checkLabels(undefined, LABEL)).toThrow(
      `linux.mountLabel "${LABEL}": SELinux is not enabled on this host`,
    );
  }
});
