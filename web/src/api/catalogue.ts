import { useResource, type Resource } from "../state/resource";
import { api } from "../state/session";
import type { ProfileKind } from "./kinds";
import type { Catalogue, MetadataPath } from "./types";

/** The paths below metadata that users have. Without them, paths must be typed. */
export function useCatalogue(): Resource<Catalogue> {
  return useResource("", catalogue);
}

/** The paths that are known of a kind of profiles: none where the catalogue is not about them. */
export function usePaths(kind: ProfileKind): Resource<readonly MetadataPath[]> {
  return useResource(kind.name, async (signal) => (kind.hasCatalogue ? namedPaths(await catalogue(signal)) : []));
}

function catalogue(signal: AbortSignal): Promise<Catalogue> {
  return api().send<Catalogue>("GET", "v1/metadata:catalogue", { signal });
}

/** The paths that a filter, or a column, can name. */
function namedPaths({ paths }: Catalogue): readonly MetadataPath[] {
  return paths.filter((each) => !each.has_wildcard);
}
