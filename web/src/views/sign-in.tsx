import { useEffect, useRef } from "preact/hooks";
import { ApiError } from "../api/errors";
import { ErrorNote } from "../parts/states";
import { useAction } from "../state/action";
import { ended, signIn } from "../state/session";

const VERSION = document.querySelector<HTMLMetaElement>('meta[name="userfold-version"]')?.content ?? "";

/** Asks for a management token. It is kept in memory only, so a page that is loaded again asks again. */
export function SignIn() {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    document.title = "Sign in · Userfold";
    field.current?.focus();
  }, []);

  const { act, isBusy, error } = useAction(async () => {
    const token = field.current?.value.trim() ?? "";
    if (!token) return;
    try {
      await signIn(token);
    } catch (failure) {
      field.current?.select();
      throw failure instanceof ApiError ? explained(token, failure) : failure;
    }
  });

  return (
    <main class="sign-in">
      <form onSubmit={act}>
        <h1>
          Userfold <small>{VERSION}</small>
        </h1>
        {ended.value && (
          <p class="note warn" role="alert">
            {ended}
          </p>
        )}
        {/* Password managers want a name beside the secret. */}
        <input class="hidden" name="username" autocomplete="username" value="Userfold" readOnly tabIndex={-1} aria-hidden="true" />
        <label for="token">Management token</label>
        <input
          ref={field}
          id="token"
          name="token"
          type="password"
          autocomplete="current-password"
          spellcheck={false}
          placeholder="ufm_…"
          aria-describedby="token-hint"
        />
        <button class="primary" aria-busy={isBusy}>
          {isBusy ? "Signing in …" : "Sign in"}
        </button>
        <p id="token-hint" class="soft">
          The token stays in this page’s memory: closing or reloading it forgets it. <code>make run</code> prints one, and so does{" "}
          <code>userfold applications</code>.
        </p>
        {error && <ErrorNote error={error} />}
      </form>
    </main>
  );
}

/** What is wrong with a token. A collector key is the mistake that people make most: its prefix tells. */
function explained(token: string, error: ApiError): ApiError {
  const isCollectorKey = token.startsWith("ufc_");
  if (!isCollectorKey && error.reason !== "CREDENTIAL_UNKNOWN") return error;
  const message = isCollectorKey
    ? "This is a collector key, which can only send updates. Use a management token: it begins with ufm_."
    : "Userfold does not know this token. Check that it is complete; it may also have expired, or have been revoked.";
  return new ApiError(error.httpStatus, error.reason, message, error.requestId);
}
