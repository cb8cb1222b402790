import type { ComponentChildren } from "preact";
import { ApiError, remedy } from "../api/errors";
import type { Resource } from "../state/resource";
import { Copy } from "./copy";

/** Grey bars in the size of what is loading. The style sheet shows them after 150 ms, so that quick answers do not flicker. */
export function Skeleton({ rows = 3 }: { rows?: number }) {
  return (
    <div class="skeleton" role="status">
      <span class="hidden">Loading</span>
      {Array.from({ length: rows }, (_, index) => (
        <span key={index} />
      ))}
    </div>
  );
}

/** An error: what happened, why, what to do, and the id that finds the request in the logs. */
export function ErrorNote({ error, retry }: { error: ApiError; retry?: (() => void) | undefined }) {
  const help = remedy(error);
  return (
    <div class="note bad" role="alert">
      <p>
        <strong>{error.message}</strong>
      </p>
      {help && <p>{help}</p>}
      <p class="soft">
        <code>{error.reason}</code>
        {error.requestId && (
          <>
            {" "}
            · request <code>{error.requestId}</code> <Copy text={error.requestId} what="request id" />
          </>
        )}
      </p>
      {retry && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

/** A view, or a part of one, without any data: the first step, with a command to copy where there is one. */
export function Empty({ title, children, command }: { title: string; children?: ComponentChildren; command?: string }) {
  return (
    <div class="empty">
      <h3>{title}</h3>
      {children}
      {command && (
        <div class="command">
          <pre>{command}</pre>
          <Copy text={command} what="command" />
        </div>
      )}
    </div>
  );
}

/** The data of a resource, or why there is none. Older data stays in place while newer data is loaded. */
export function Loaded<T>({
  resource,
  rows = 3,
  children,
}: {
  resource: Resource<T>;
  rows?: number;
  children: (data: T) => ComponentChildren;
}) {
  const { data, error, reload } = resource;
  return (
    <>
      {error && <ErrorNote error={error} retry={reload} />}
      {data !== undefined ? children(data) : !error && <Skeleton rows={rows} />}
    </>
  );
}
