import type { ComponentType } from "preact";
import { useState } from "preact/hooks";
import { ApiError } from "../api/errors";
import { ErrorNote } from "../parts/states";
import { requireAnswer } from "../state/outage";
import { useResource } from "../state/resource";

type Parts = typeof import("./on-demand");

let parts: Parts | undefined;

async function load(): Promise<Parts> {
  try {
    return (parts ??= await import("./on-demand"));
  } catch {
    // Where Userfold answers, the file itself is gone.
    await requireAnswer();
    throw new ApiError(0, "NOT_LOADED", "This part of the console could not be loaded. If it cannot be loaded again, load the page again: Userfold may have been updated.", "");
  }
}

/** A component of on-demand.ts, which is loaded first, if it is not there yet. */
function later<P extends object>(choose: (parts: Parts) => ComponentType<P>): ComponentType<P> {
  return (properties) => {
    const [isThere] = useState(parts !== undefined);
    return isThere && parts ? <Chosen choose={choose} parts={parts} properties={properties} /> : <Loading choose={choose} properties={properties} />;
  };
}

function Loading<P extends object>({ choose, properties }: { choose: (parts: Parts) => ComponentType<P>; properties: P }) {
  const { data, error, reload } = useResource("", load);
  if (error) return <ErrorNote error={error} retry={reload} />;
  return data ? <Chosen choose={choose} parts={data} properties={properties} /> : null;
}

function Chosen<P extends object>({ choose, parts: all, properties }: { choose: (parts: Parts) => ComponentType<P>; parts: Parts; properties: P }) {
  const Component = choose(all);
  return <Component {...properties} />;
}

export const AccessView = later((all) => all.AccessView);
export const PrivacyView = later((all) => all.PrivacyView);
export const CompanyView = later((all) => all.CompanyView);
export const VisitorView = later((all) => all.VisitorView);
export const Merge = later((all) => all.Merge);
