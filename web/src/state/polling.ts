import { useEffect, useRef } from "preact/hooks";

/** Call `act` every so often while the page can be seen, and as soon as it is seen again. */
export function usePolling(act: () => void, milliseconds: number): void {
  const latest = useRef(act);
  latest.current = act;
  useEffect(() => {
    let timer: ReturnType<typeof setInterval> | undefined;
    const start = () => {
      timer ??= setInterval(() => latest.current(), milliseconds);
    };
    const stop = () => {
      clearInterval(timer);
      timer = undefined;
    };
    const onChange = () => {
      if (document.hidden) return stop();
      latest.current();
      start();
    };
    if (!document.hidden) start();
    document.addEventListener("visibilitychange", onChange);
    return () => {
      document.removeEventListener("visibilitychange", onChange);
      stop();
    };
  }, [milliseconds]);
}
