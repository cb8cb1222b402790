import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "../api/errors";
import { recoveries } from "./outage";

export interface Resource<T> {
  /** What was loaded last. Where a later load is under way or has failed, this is older. */
  readonly data: T | undefined;
  readonly error: ApiError | undefined;
  /** Whether a load is under way. */
  readonly isLoading: boolean;
  readonly reload: () => void;
  /** Load again unless a load is under way. What is shown, also an error, stays until then. */
  readonly refresh: () => void;
}

interface State<T> {
  readonly key: string;
  readonly data: T | undefined;
  readonly error: ApiError | undefined;
  readonly isLoading: boolean;
}

/**
 * What `load` returns for `key`, loaded again for each new key, on `reload`, and after an outage during which it failed.
 * A load whose key has changed is aborted.
 */
export function useResource<T>(key: string, load: (signal: AbortSignal) => Promise<T>): Resource<T> {
  const [state, setState] = useState<State<T>>({ key, data: undefined, error: undefined, isLoading: true });
  const [turn, setTurn] = useState({ isQuiet: false });
  const latest = useRef(load);
  latest.current = load;
  const reload = useCallback(() => setTurn({ isQuiet: false }), []);
  const isBusy = useRef(false);
  const refresh = useCallback(() => {
    if (!isBusy.current) setTurn({ isQuiet: true });
  }, []);

  useEffect(() => {
    const controller = new AbortController();
    isBusy.current = true;
    setState((before) => {
      if (before.key !== key) return { key, data: undefined, error: undefined, isLoading: true };
      return { ...before, error: turn.isQuiet ? before.error : undefined, isLoading: true };
    });
    latest.current(controller.signal).then(
      (data) => {
        if (controller.signal.aborted) return;
        isBusy.current = false;
        setState({ key, data, error: undefined, isLoading: false });
      },
      (error: unknown) => {
        if (controller.signal.aborted) return;
        isBusy.current = false;
        if (!(error instanceof ApiError)) throw error;
        setState((before) => ({ key, data: before.data, error, isLoading: false }));
      },
    );
    return () => controller.abort();
  }, [key, turn]);

  const isOutage = state.error?.isOutage ?? false;
  useEffect(() => (isOutage ? recoveries.subscribe(skipFirst(reload)) : undefined), [isOutage, reload]);

  // The state of another key is not shown, not even for the moment before its effect runs.
  return state.key === key ? { ...state, reload, refresh } : { data: undefined, error: undefined, isLoading: true, reload, refresh };
}

function skipFirst(then: () => void): () => void {
  let isFirst = true;
  return () => {
    if (isFirst) isFirst = false;
    else then();
  };
}
