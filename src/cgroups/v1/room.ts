import type { Spec } from "../../spec/config.ts";
import type { LimitWrite } from "../limits/limit.ts";
import { v1Writes } from "./limits.ts";
import type { V1Room } from "./load.ts";
import { makeV1 } from "./make.ts";
import { locateV1, type V1Place } from "./place.ts";

/** See {@link V1Room}; undefined when no hierarchy of v1 is mounted. @throws BerthError "invalid-config" */
export function planV1(spec: Spec, id: string): V1Room | undefined {
  const places = locateV1(spec, id);
  if (places.length === 0) return undefined;
  const controllers = places.flatMap(({ controllers }) => controllers);
  const writes = v1WritesFor(spec.linux.resources, places);
  return { places, controllers, writes, make: () => makeV1(places, writes) };
}

/** The writes for those controllers that the container has on v1. */
export function v1WritesFor(resources: Spec["linux"]["resources"], places: readonly V1Place[]): LimitWrite[] {
  return v1Writes(resources).filter(({ controller }) =>
    places.some(({ controllers }) => controllers.includes(controller)),
  );
}
