import type { FieldViolation, Status } from "./types";

/** Why a request failed: an error that Userfold returned or, with the reason `UNREACHABLE`, no response at all. */
export class ApiError extends Error {
  constructor(
    readonly httpStatus: number,
    readonly reason: string,
    message: string,
    readonly requestId: string,
    readonly violations: readonly FieldViolation[] = [],
    readonly metadata: Readonly<Record<string, string>> = {},
  ) {
    super(message);
  }

  /** Whether Userfold, or the database behind it, does not answer at the moment: the request itself may be right. */
  get isOutage(): boolean {
    return OUTAGES.has(this.reason);
  }
}

const OUTAGES = new Set(["UNREACHABLE", "SERVER_UNAVAILABLE", "SERVER_STOPPING", "DATABASE_UNAVAILABLE"]);

/** What a person can do about an error, for the reasons that need more than the message. */
export function remedy(error: ApiError): string {
  switch (error.reason) {
    case "UNREACHABLE":
    case "SERVER_UNAVAILABLE":
    case "SERVER_STOPPING":
    case "DATABASE_UNAVAILABLE":
      return "Nothing is lost. The console tries again by itself.";
    case "SCOPE_MISSING":
      return `Sign in with a token that has the scope ${error.metadata["scope"] ?? "that is missing"}.`;
    case "OVERLOADED":
    case "RATE_LIMITED":
      return "Wait a few seconds, then try again.";
    case "QUERY_TOO_SLOW":
      return "Narrow the filter, or declare an index for the path that it compares.";
    case "WRITE_OUTCOME_UNKNOWN":
      return "The change may have been stored. Load the page again to see, or send it again: that is safe.";
    case "INTERNAL":
      return "This is a defect of Userfold. The request id finds it in the server's log.";
    default:
      return "";
  }
}

/** The error of a response that is no success. */
export function errorFromResponse(httpStatus: number, requestId: string, body: unknown): ApiError {
  const status = body as Partial<Status> | null;
  if (!status || typeof status !== "object" || typeof status.message !== "string") {
    return new ApiError(httpStatus, "UNREACHABLE", `The response has the status ${httpStatus} and no error of Userfold.`, requestId);
  }
  let reason = status.status ?? "UNKNOWN";
  let violations: FieldViolation[] = [];
  let metadata: Record<string, string> = {};
  for (const detail of status.details ?? []) {
    if (typeof detail["reason"] === "string") {
      reason = detail["reason"];
      metadata = (detail["metadata"] as Record<string, string> | undefined) ?? {};
    }
    if (Array.isArray(detail["field_violations"])) violations = detail["field_violations"] as FieldViolation[];
  }
  return new ApiError(httpStatus, reason, status.message, requestId, violations, metadata);
}
