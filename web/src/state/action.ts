import { useRef, useState } from "preact/hooks";
import { ApiError } from "../api/errors";

export interface Action {
  /** Do it, unless it is being done. Also for `onSubmit`: the browser then sends no form. */
  readonly act: (event?: Event) => Promise<void>;
  readonly isBusy: boolean;
  /** Why it failed last. */
  readonly error: ApiError | undefined;
  /** Show that error no more. */
  readonly forget: () => void;
}

/** What a button or a form does: one at a time, with the error of the last one. */
export function useAction(run: () => Promise<void>): Action {
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError>();
  const busy = useRef(false);
  const act = async (event?: Event) => {
    event?.preventDefault();
    if (busy.current) return;
    setBusy((busy.current = true));
    setError(undefined);
    try {
      await run();
    } catch (failure) {
      if (!(failure instanceof ApiError)) throw failure;
      setError(failure);
    } finally {
      setBusy((busy.current = false));
    }
  };
  return { act, isBusy, error, forget: () => setError(undefined) };
}
