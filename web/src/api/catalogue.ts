import { useResource, type Resource } from "../state/resource";
import { api } from "../state/session";
import type { Catalogue, MetadataPath } from "./types";

/** The paths below metadata that users have. Without them, paths must be typed. */
export function useCatalogue(): Resource<Catalogue> {
  return useResource("", (signal) => api().send<Catalogue>("GET", "v1/metadata:catalogue", { signal }));
}

/** The paths that a filter, or a column, can name. */
export function namedPaths(catalogue: Catalogue | undefined): readonly MetadataPath[] {
  return (catalogue?.paths ?? []).filter((each) => !each.has_wildcard);
}
