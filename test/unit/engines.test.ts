/* README's section on engines is copied from what test/engines runs, and docs/engines.md lists its exceptions: by text. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { operations as buildah } from "../engines/buildah.operations.ts";
import { operations as containerd } from "../engines/containerd.operations.ts";
import { operations as cri } from "../engines/cri.operations.ts";
import { operations as docker } from "../engines/docker.operations.ts";
import type { Operation } from "../engines/operation.ts";
import { operations as podman } from "../engines/podman.operations.ts";
import { operations as rootless } from "../engines/rootless.operations.ts";
import { criSettings, dockerSettings, podmanSettings } from "../engines/settings.ts";

const read = (path: string) => readFileSync(join(import.meta.dirname, "../..", path), "utf8");

/** Every engine's section: its name, and its text. */
const sections = new Map(
  (
    read("README.md")
      .split("\n## ")
      .find((text) => text.startsWith("With engines\n")) ?? ""
  )
    .split(/^(?=\*\*)/m)
    .slice(1)
    .map((text) => [/^\*\*(\w+)/.exec(text)?.[1] ?? "", text]),
);

const PROGRAM = "/path/to/berth";

/** The lines of a section that are to be typed or written somewhere. */
const linesOf = (section: string) =>
  (sections.get(section) ?? "")
    .split("\n")
    .filter((line) => line.startsWith("    "))
    .map((line) => line.trim());

describe("README's section on engines", () => {
  test("has a part per engine", () => {
    expect([...sections.keys()]).toEqual(["Podman", "Docker", "containerd", "Kubernetes", "buildah"]);
  });

  test.each([
    ["Podman", podman],
    ["Docker", docker],
    ["containerd", containerd],
    ["buildah", buildah],
  ])("%s: each command is one that the engine tests run", (section, operations) => {
    const lines = linesOf(section);
    expect(lines).not.toEqual([]);
    for (const line of lines) {
      const run = line.replaceAll(PROGRAM, "$RUNTIME").replaceAll("docker.io/library/box:latest", "$BOX");
      const rows = operations.filter(({ script }) => script.includes(run)).map(({ name }) => name);
      expect([line, rows.length > 0]).toEqual([line, true]);
    }
  });

  test("Podman, Docker: the settings are those of the engine tests", () => {
    expect(sections.get("Podman")).toContain(`\`${podmanSettings(PROGRAM)}\``);
    expect(sections.get("Docker")).toContain(`\`${JSON.stringify(dockerSettings(PROGRAM))}\``);
  });

  test("Kubernetes: the settings are those of the engine tests; and a RuntimeClass, which takes a cluster", () => {
    const [settings, runtimeClass] = [linesOf("Kubernetes").slice(0, 4), linesOf("Kubernetes").slice(4)];
    expect(settings).toEqual(criSettings(PROGRAM).trim().split("\n"));
    expect(runtimeClass).toEqual([
      "apiVersion: node.k8s.io/v1",
      "kind: RuntimeClass",
      "metadata: {name: berth}",
      "handler: berth",
    ]);
  });
});

describe("docs/engines.md", () => {
  const rows: readonly Operation[] = [podman, rootless, docker, containerd, buildah, cri].flat();
  const listed = read("docs/engines.md")
    .split("\n")
    .filter((line) => /^\| (?!what )/.test(line))
    .map((line) => line.split(" | ")[0]?.slice(2));

  test("lists every reason of a difference or a failure, and no other", () => {
    const reasons = rows.flatMap(({ failsHere, improves }) => [
      ...(improves ?? []).map(({ reason }) => reason),
      ...(failsHere === undefined ? [] : [failsHere]),
    ]);
    expect(listed.toSorted()).toEqual([...new Set(reasons)].toSorted());
  });
});
