// The JSON of the HTTP API, as far as the console uses it. The comments are in the protos.

export type Json = null | boolean | number | string | Json[] | JsonObject;
export interface JsonObject {
  [key: string]: Json;
}

export interface Campaign {
  [field: string]: string | undefined;
}

export interface NameAndVersion {
  name?: string;
  version?: string;
}

export interface UserAgent {
  browser?: NameAndVersion;
  os?: NameAndVersion;
  device?: { brand?: string; model?: string; name?: string; family?: string };
}

/** The profile of a user, a company or a visitor. */
export interface Profile {
  user_id?: string;
  company_id?: string;
  created_time?: string;
  modified_time?: string;
  stored_time?: string;
  ip_address?: string;
  observed_ip_address?: string;
  user_agent_string?: string;
  user_agent?: UserAgent;
  metadata?: JsonObject;
  campaign?: Campaign;
  initial_campaign?: Campaign;
  initial_campaign_time?: string;
  latest_campaign?: Campaign;
  latest_campaign_time?: string;
  anonymous_id?: string;
  anonymous_ids?: string[];
  merged_user_ids?: string[];
  alias_count?: number;
  avatar_url?: string;
  email_domain?: string;
  company_domain?: string;
  etag?: string;
}

export interface User extends Profile {
  user_id: string;
}

export interface UsersPage {
  users: User[];
  next_page_token?: string;
}

export interface Warning {
  field: string;
  reason: string;
  description: string;
}

/** A google.rpc.Status as JSON. */
export interface Status {
  code: number;
  status?: string;
  message: string;
  details?: { "@type": string; [member: string]: unknown }[];
}

export interface FieldViolation {
  field: string;
  description: string;
  reason: string;
}

export interface DayCount {
  day: string;
  user_count: number;
}

export interface CampaignGroup {
  campaign: Readonly<Record<string, string>>;
  user_count: number;
  days: DayCount[];
  value_sum?: number;
  value_average?: number;
  value_count: number;
}

export interface CampaignReport {
  groups: CampaignGroup[];
  has_more: boolean;
  total: CampaignGroup;
}

export interface RefusedField {
  field: string;
  reason: string;
}

export interface Refusal {
  reason: string;
  is_warning: boolean;
  method: string;
  fields: RefusedField[];
  client_library: string;
  count: number;
  first_time: string;
  last_time: string;
}

export interface TypeCount {
  type: string;
  count: number;
}

export interface StringShape {
  shape: string;
  length?: number;
  pattern?: string;
  count: number;
}

export interface MetadataPath {
  path: string;
  has_wildcard: boolean;
  sampled_user_count: number;
  estimated_user_count: number;
  types: TypeCount[];
  has_conflict: boolean;
  string_shapes: StringShape[];
  numbers?: { integer_count: number; negative_count: number; zero_count: number; smallest_exponent?: number; largest_exponent?: number };
  arrays?: { element_types: TypeCount[]; lengths: { max_length: number; count: number }[] };
  key_count: number;
}

export interface Catalogue {
  paths: MetadataPath[];
  has_more_paths: boolean;
  sampled_user_count: number;
  is_complete: boolean;
  estimated_user_count: number;
}

export interface Usage {
  used: number;
  limit: number;
}

export interface DatabaseMember {
  name: string;
  state: string;
  lag_seconds?: number;
}

export interface ServerStatus {
  version: string;
  gateway_version: string;
  instance: string;
  start_time: string;
  is_ready: boolean;
  not_ready_reason: string;
  updates: {
    pending: Usage;
    queued_count: number;
    pending_bytes: Usage;
    groups_in_flight: number;
    last_stored_time?: string;
    recent_group_count: number;
    median_seconds?: number;
    p95_seconds?: number;
  };
  calls: Usage;
  streams: Usage;
  gateway_streams: Usage;
  pending_refusal_count: number;
  database: {
    version: string;
    replica_set: string;
    members: DatabaseMember[];
    schema_version: number;
    supported_schema_version: number;
    is_migrating: boolean;
  };
}
