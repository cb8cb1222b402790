// The fields of profiles outside metadata, as filters and lists name them.

import { parsePath, pathText, type Path } from "./paths";

/** What a field holds: outside metadata always the same, below it any JSON. */
export type FieldKind = "text" | "count" | "time" | "json";

export interface Field {
  readonly path: string;
  readonly label: string;
  readonly kind: FieldKind;
}

const CAMPAIGN = ["utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "referrer", "referring_domain", "gclid"];

function campaign(name: string, label: string): Field[] {
  return CAMPAIGN.map((field) => ({ path: `${name}.${field}`, label: `${label}: ${field}`, kind: "text" }));
}

const text = (path: string, label: string): Field => ({ path, label, kind: "text" });
const time = (path: string, label: string): Field => ({ path, label, kind: "time" });

/** The fields of every profile, after its ids. */
const TIMES: readonly Field[] = [
  time("stored_time", "Last update"),
  time("created_time", "First seen"),
  time("modified_time", "Modified"),
];

const ADDRESSES: readonly Field[] = [text("ip_address", "IP address"), text("observed_ip_address", "Observed IP address")];

const ORIGINS: readonly Field[] = [
  ...campaign("campaign", "Campaign"),
  ...campaign("initial_campaign", "First campaign"),
  ...campaign("latest_campaign", "Latest campaign"),
  text("user_agent.browser.name", "Browser"),
  text("user_agent.browser.version", "Version of the browser"),
  text("user_agent.os.name", "Operating system"),
  text("user_agent.os.version", "Version of the system"),
  text("user_agent.device.name", "Device"),
  text("user_agent.device.brand", "Brand of the device"),
  text("user_agent.device.model", "Model of the device"),
];

const OF_PEOPLE: readonly Field[] = [
  text("email_domain", "Domain of the email"),
  text("company_domain", "Domain of the company"),
  ...ADDRESSES,
  text("avatar_url", "Avatar"),
  { path: "alias_count", label: "Session tokens", kind: "count" },
  ...ORIGINS,
];

const USER_ID = text("user_id", "User id");
const COMPANY_ID = text("company_id", "Company id");
const ANONYMOUS_ID = text("anonymous_id", "Anonymous id");

export const USER_FIELDS: readonly Field[] = [USER_ID, COMPANY_ID, ...TIMES, ANONYMOUS_ID, ...OF_PEOPLE];
export const COMPANY_FIELDS: readonly Field[] = [COMPANY_ID, text("company_domain", "Domain"), ...TIMES, ...ADDRESSES, ...ORIGINS];
export const VISITOR_FIELDS: readonly Field[] = [ANONYMOUS_ID, COMPANY_ID, ...TIMES, ...OF_PEOPLE];

export function fieldAt(fields: readonly Field[], path: string): Field | undefined {
  return fields.find((field) => field.path === path);
}

/** The levels of metadata, which is the first of them. */
const METADATA_LEVELS = 20;

/** What a path holds that a filter may compare; undefined where it may not. */
export function kindAt(fields: readonly Field[], path: Path): FieldKind | undefined {
  if (path[0] === "metadata") return path.length > 1 && path.length <= METADATA_LEVELS + 1 ? "json" : undefined;
  return fieldAt(fields, path.join("."))?.kind;
}

/** The keys of a path that somebody typed, in any notation that filters take; undefined if it cannot be read. */
export function typedPath(text: string): Path | undefined {
  const bracketed = text.replace(/\.("(?:[^"\\]|\\.)*")/g, "[$1]");
  try {
    const keys = parsePath(bracketed);
    return pathText(keys) === bracketed.replace(/\["([A-Za-z_][\w-]*)"\]/g, ".$1") ? keys : undefined;
  } catch {
    return undefined;
  }
}
