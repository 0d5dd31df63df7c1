import type { Spec } from "./config.ts";
import type { Namespace, NamespaceType } from "./linux.ts";

/** The entry of linux.namespaces for this type; undefined when the container stays in its caller's. */
export function namespaceOf(spec: Spec, type: NamespaceType): Namespace | undefined {
  for (const namespace of spec.linux.namespaces) if (namespace.type === type) return namespace;
  return undefined;
}

/** Whether the container gets a namespace of this type of its own, rather than to join one or to keep its caller's. */
export function hasNewNamespace(spec: Spec, type: NamespaceType): boolean {
  const namespace = namespaceOf(spec, type);
  return namespace !== undefined && namespace.path === undefined;
}
