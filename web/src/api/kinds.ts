// The kinds of profiles. One list and one page of a profile serve all of them.

import { COMPANY_FIELDS, USER_FIELDS, VISITOR_FIELDS, type Field } from "./fields";
import type { Profile } from "./types";

export interface ProfileKind {
  /** The collection: in the paths of the API, in the place of the list, and in words. */
  readonly name: "users" | "companies" | "visitors";
  /** One of them: in the place of its page, and in words. */
  readonly one: "user" | "company" | "visitor";
  readonly key: "user_id" | "company_id" | "anonymous_id";
  /** The part of scopes after the colon. */
  readonly scope: "users" | "companies";
  /** Beginning with the key. */
  readonly fields: readonly Field[];
  /** The columns that a list has at first, beside the key. */
  readonly columns: readonly string[];
  /** Whether the catalogue of metadata is about them. */
  readonly hasCatalogue: boolean;
  /** A filter, as an example. */
  readonly example: string;
}

export const USERS: ProfileKind = {
  name: "users",
  one: "user",
  key: "user_id",
  scope: "users",
  fields: USER_FIELDS,
  columns: ["metadata.email", "metadata.name", "company_id", "stored_time", "created_time"],
  hasCatalogue: true,
  example: "company_id = acme AND metadata.plan = team",
};

export const COMPANIES: ProfileKind = {
  name: "companies",
  one: "company",
  key: "company_id",
  scope: "companies",
  fields: COMPANY_FIELDS,
  columns: ["metadata.name", "company_domain", "metadata.plan", "stored_time", "created_time"],
  hasCatalogue: false,
  example: "company_domain = acmeinc.com OR metadata.plan = team",
};

export const VISITORS: ProfileKind = {
  name: "visitors",
  one: "visitor",
  key: "anonymous_id",
  scope: "users",
  fields: VISITOR_FIELDS,
  columns: ["initial_campaign.utm_source", "initial_campaign.utm_medium", "user_agent.browser.name", "stored_time", "created_time"],
  hasCatalogue: false,
  example: "initial_campaign.utm_source = google",
};

export function idOf(kind: ProfileKind, profile: Profile): string {
  return profile[kind.key] ?? "";
}

/** The label of the key. */
export function keyLabel({ fields }: ProfileKind): string {
  return fields[0]?.label ?? "";
}
