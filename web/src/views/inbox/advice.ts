// What to do about each reason of protos/userfold/v1/reasons.proto. A test holds that none is missing.

/** One or two sentences and, where it helps, the right form. */
export type Advice = readonly [says: string, form?: string];

const SEND_AGAIN = "The client should send it again after the time in Retry-After: that is always safe.";
const ONE_USER = '{"user_id": "12345", "metadata": {"plan": "team"}}';
const HEADERS = "X-Moesif-Application-Id: COLLECTOR_KEY\nAuthorization: Bearer MANAGEMENT_TOKEN";

/** By the name of an ErrorReason. */
export const ERRORS: Readonly<Record<string, Advice>> = {
  INVALID_REQUEST: ["Fields of the request break rules, so nothing of it was stored. Correct the fields that are named here."],
  MALFORMED_REQUEST: ["The bytes are not the message that the method takes, or it is nested too deep. Generate the client from the current protos."],
  BATCH_TOO_LARGE: ["The batch has more items than the method takes, and none was processed. Send it in parts."],
  BATCH_PARTLY_REFUSED: ["Some items of a batch were refused, and the rest were stored. The response names them; their own reasons are listed here, too."],
  PROFILE_TOO_LARGE: ["The profile would pass 1 MiB or 50,000 values. Remove what is not needed, with null, and keep logs and events elsewhere.", '{"user_id": "12345", "metadata": {"old_history": null}}'],
  QUERY_TOO_SLOW: ["The database did not find the response in time. Narrow the filter or the range of time, or declare an index for the path."],
  RESPONSE_TOO_LARGE: ["The response had no room for an item of a batch of reads. Request that item in another call."],
  COMPANY_NOT_FOUND: ["There is no company with this id: no update of it was stored, or it was erased. Send an update first, or check the id."],
  USER_NOT_FOUND: ["There is no user with this id: no update of it was stored, or it was erased. Send an update first, or check the id."],
  VISITOR_NOT_FOUND: ["There is no visitor with this anonymous id: no update of it was stored, or the visitor was erased or has expired."],
  VISITOR_IDENTIFIED: ["The visitor is known by now, and a part of a user. Look up the user by the anonymous id.", '{"anonymous_id": "visitor-1"}'],
  ETAG_MISMATCH: ["The profile changed between the read and the update, so nothing was overwritten. Read it again, decide anew, and send the new etag.", '{"user_id": "12345", "etag": "ETAG", "metadata": {"plan": "team"}}'],
  INDEX_REQUIRED: ["No index serves the query, and there are too many users to read them all. Declare the path that the error names, or narrow the filter by company_id or created_time."],
  CREDENTIAL_MISSING: ["The request has no credential. Configure the client with a key of the application.", HEADERS],
  CREDENTIAL_AMBIGUOUS: ["The request has a credential more than once. Send each header once: a proxy may add another.", HEADERS],
  CREDENTIAL_UNKNOWN: ["The credential belongs to no application, was revoked, or has expired. Configure a valid one."],
  SCOPE_MISSING: ["The credential does not allow this call. Collector keys send updates; to read, use a management token with the scope that the error names."],
  MANAGEMENT_TOKEN_REQUIRED: ["The call takes a management token, and the client sent a collector key. Configure a token.", "Authorization: Bearer MANAGEMENT_TOKEN"],
  CREDENTIAL_NOT_FOUND: ["The application has no credential with this id. The page Access lists them."],
  CREDENTIAL_ALREADY_ROTATED: ["The credential was rotated before. Rotate the one that replaced it, which the error names."],
  TOO_MANY_CREDENTIALS: ["The application has as many credentials as it may have. Revoke one that nobody uses."],
  LAST_ADMIN_TOKEN: ["Without this token, nobody could administer the application. Create another one with the scope admin first."],
  TOO_MANY_APPLICATIONS: ["There are as many applications as there may be. An operator can create more with the command line."],
  WRITE_OUTCOME_UNKNOWN: [`The write was not confirmed, so it may or may not be stored. ${SEND_AGAIN}`],
  OVERLOADED: [`More requests were queued than there is room for. ${SEND_AGAIN} If it stays, send batches, or add a server.`],
  RATE_LIMITED: [`The application sends more than its rate limit. ${SEND_AGAIN} Batches help; an operator can raise the limit.`],
  DATABASE_UNAVAILABLE: [`MongoDB did not answer. ${SEND_AGAIN} The page Health shows whether it still happens.`],
  SERVER_STOPPING: ["The server stopped during a stream. Send what was not acknowledged again, on a new stream."],
  STREAM_IDLE: ["Nothing was sent on a stream for 5 minutes. Nothing is lost: open a new stream for the next update."],
  GATEWAY_TOO_OLD: ["The gateway is older than the server. Update the gateway."],
  SERVER_TOO_OLD: ["The server is older than the gateway. Update the server; the clients then send again."],
  INTERNAL: ["A defect of Userfold. The log of the server has the cause under the error_id of the response; report it."],
  SERVER_UNAVAILABLE: [`The gateway had no connection to a server. ${SEND_AGAIN} The page Health shows whether it still happens.`],
  SERVER_TOO_SLOW: ["The server did not respond to a read in time. Send it again; narrow it if it happens again."],
  NOT_SENT_IN_TIME: [`The write could not be sent to a server in time, and is not stored. ${SEND_AGAIN}`],
  UNEXPLAINED: ["The server, or a proxy in front of it, failed the call without a reason. The logs of the gateway and of the proxy have more."],
  ROUTE_NOT_FOUND: ["There is no such path. Check the base URL of the client: it ends before /v1.", "POST /v1/users"],
  METHOD_NOT_ALLOWED: ["The path does not have this method. The header Allow of the response names those that it has.", "POST /v1/users"],
  USERS_BELONG_ELSEWHERE: ["This path takes no users. Send lists of users to the path of batches.", "POST /v1/users/batch"],
  BODY_TOO_LARGE: ["The body has too many bytes: 1 MiB for one user, 12 MiB for a batch, inflated. Send it in parts."],
  UNSUPPORTED_CONTENT_ENCODING: ["The body is compressed in a way that Userfold does not read. Use gzip, or no compression.", "Content-Encoding: gzip"],
  BODY_NOT_GZIP: ["The body is not gzip although the header says so, or its end is missing. Compress it once, and send all of it."],
  BODY_NOT_JSON: ["The body is not JSON in UTF-8. Let a JSON library write it, not string templates.", ONE_USER],
  BODY_NOT_AN_OBJECT: ["The body must be a JSON object. A list of users belongs to /v1/users/batch.", ONE_USER],
  BODY_NOT_AN_ARRAY: ["The body must be a JSON array of users. A single user belongs to /v1/users.", `[${ONE_USER}]`],
  HTTP_MALFORMED: ["The bytes are not an HTTP/1.1 request. Check that the client speaks HTTP, and TLS only where the gateway does."],
  HEAD_TOO_LARGE: ["The headers are too large, often because of cookies. Send fewer headers."],
  REQUEST_TOO_SLOW: ["The request took too long to arrive. Check the connection of the client, or send smaller batches."],
  HOST_INVALID: ["The request does not have exactly one valid Host header. Check the client, or the proxy in front of the gateway."],
  UNSUPPORTED_TRANSFER_ENCODING: ["The body is sent in a way that Userfold does not read. Send a Content-Length, or chunks.", "Transfer-Encoding: chunked"],
  TOO_MANY_CONNECTIONS: ["The gateway has as many connections as it takes. Clients should reuse connections; or add a gateway."],
};

/** By the name of a FieldReason. */
export const FIELDS: Readonly<Record<string, Advice>> = {
  REQUIRED: ["must be set, and not be empty."],
  NOT_EXACTLY_ONE: ["must have, or be, exactly one of several fields; the description in the response lists them."],
  CONFLICT: ["excludes another field that is set too, or differs between the path and the body. Send one of them."],
  WRONG_TYPE: ["has another type than the field may have."],
  TOO_LONG: ["is longer than it may be: ids have 512 bytes, session tokens 8 KiB. Send less of it."],
  TOO_LARGE: ["has more bytes than it may have. Send less in one update, or keep it elsewhere."],
  TOO_DEEP: ["is nested too deep. Send at most 20 levels of objects and arrays."],
  TOO_MANY: ["has more elements than allowed. Send it in parts."],
  TOO_MANY_VALUES: ["has more values than one update may have: 10,000. Send it in several updates."],
  TOO_MANY_COMPARISONS: ["has more comparisons than allowed. Split the query."],
  WRONG_LENGTH: ["must have as many elements as the list that it belongs to."],
  OUT_OF_RANGE: ["is outside its range. The description in the response says the limits."],
  NOT_FINITE: ["must be a finite number: JSON has no NaN and no Infinity. Leave it out, or send null to remove it."],
  NOT_A_NUMBER: ["must be a finite number, or a string."],
  NOT_A_TIME: ["must be a time in RFC 3339.", '"2026-01-31T12:00:00Z"'],
  NOT_AFTER_START_TIME: ["must be later than start_time."],
  NOT_AN_EMAIL_ADDRESS: ["must be an email address.", '"john@acmeinc.com"'],
  NOT_A_JSON_OBJECT: ["must be a JSON object in UTF-8.", ONE_USER],
  NOT_JSON: ["is not JSON. Let a JSON library write the whole body."],
  NOT_UNICODE: ["has half a character, such as a cut emoji. Cut texts by characters, not by bytes or code units."],
  NOT_UTF8: ["must be UTF-8, percent-encoded.", "/v1/users/j%C3%B6rg"],
  NO_VALUE: ["has a Value without a kind. Set one, also for null.", "Value(null_value=NULL_VALUE)"],
  INVALID_FILTER: ["cannot be read; the error names the column.", 'metadata.plan = "team" AND created_time >= "2026-01-01T00:00:00Z"'],
  INVALID_FIELDS: ["cannot be read, or names what cannot be requested.", "company_id,metadata.sales_info"],
  INVALID_GROUP_BY: ["names what users cannot be grouped by.", "initial_campaign.utm_source,campaign.utm_medium"],
  INVALID_VALUE_PATH: ["must be one path below metadata; in an operation, it must not begin with a reserved field, such as email.", "metadata.sales_info.lifetime_value"],
  INVALID_ORDER_BY: ["is an order that the method does not have.", "created_time desc"],
  INVALID_PAGE_TOKEN: ["was not returned for this request within a day. Begin again with the first page."],
  NOT_CLEARABLE: ["cannot be removed so. Keys of metadata are removed with null.", '"metadata": {"phone": null}'],
  UNKNOWN_FIELD: ["does not exist. Correct the name, or leave it out: this call ignores nothing."],
  REPEATED: ["is sent more than once, or in two spellings such as user_id and userId. Send it once."],
  NOT_ONE_OF: ["must be one of the values that the field has; the description in the response lists them."],
  INVALID_NAME: ["must have 1 to 100 printable characters, without blanks at the ends."],
  IGNORED: ["is ignored: it is empty, or is sent in another place as well. Nothing is lost; leave it out."],
  KEPT_AS_TEXT: ["is a number or a boolean, and is stored as a string. Send a string, so that filters find what you send."],
  INTEGER_KEPT_AS_TEXT: ["has an integer beyond 2^53, which is stored as a string: a number would lose digits. Send it as a string.", '"17870000000001001"'],
  MOVED_TO_METADATA: ["is stored in metadata. Send it there.", '"metadata": {"email": "john@acmeinc.com"}'],
  NOT_AN_IP_ADDRESS: ["is no IP address, and is stored as sent. Leave it out where it is unknown.", '"203.0.113.5"'],
  SUPPRESSED: ["belongs to a user who was erased and is suppressed: the update is dropped. Stop sending it, or lift the suppression."],
  NOT_ABSORBED: ["stays a visitor: together with the user's, its profile would be too large. Send less metadata, or erase the visitor.", '{"anonymous_id": "visitor-7", "metadata": {"history": null}}'],
  NOT_STORED: ["The call is accepted and nothing of it is stored: Userfold stores only users and companies. Turn these calls off in the client."],
};

/** Those that say something else where the request was accepted. */
const WARNINGS: Readonly<Record<string, Advice>> = {
  NOT_AN_EMAIL_ADDRESS: ["is no email address. It is stored as sent, and no domain, company or avatar is derived from it.", '"john@acmeinc.com"'],
  UNKNOWN_FIELD: ["does not exist and is ignored, so its values are lost. Send them in metadata, or correct the name.", ONE_USER],
};

/** How a field looks in the JSON of an update. */
const FORMS: Readonly<Record<string, string>> = {
  user_id: '"user_id": "12345"',
  company_id: '"company_id": "67890"',
  company_domain: '"company_domain": "acmeinc.com"',
  session_token: '"session_token": "XXXXXXXXXX"',
  anonymous_id: '"anonymous_id": "visitor-1"',
  modified_time: '"modified_time": "2026-01-31T12:00:00Z"',
  ip_address: '"ip_address": "203.0.113.5"',
  user_agent_string: '"user_agent_string": "Mozilla/5.0 …"',
  campaign: '"campaign": {"utm_source": "google", "utm_medium": "cpc"}',
  latest_campaign: '"latest_campaign": {"utm_source": "google"}',
  latest_campaign_time: '"latest_campaign": {"utm_source": "google"}, "latest_campaign_time": "2026-01-31T12:00:00Z"',
  metadata: '"metadata": {"email": "john@acmeinc.com", "phone": "4155551212"}',
  metadata_operations: '"metadata_operations": [{"path": ["sales_info", "first_plan"], "set_once": "team"}, {"path": ["products"], "union": ["api"]}]',
  clear_fields: '"clear_fields": ["company_id"]',
};

/** All tables. The build writes them as advice.json, since texts are no code: the console loads them with the inbox. */
export const ADVICE = { errors: ERRORS, fields: FIELDS, warnings: WARNINGS, forms: FORMS };
