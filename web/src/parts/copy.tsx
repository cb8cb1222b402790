import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { announce } from "../state/announce";
import { CheckIcon, CopyIcon } from "./icons";

const SHOWN_MILLISECONDS = 1500;

/** A button that copies a text. `what` names it: `Copy user id`. Where several are beside each other, each has an icon. */
export function Copy({ text, what, icon = <CopyIcon /> }: { text: string; what: string; icon?: ComponentChildren }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return undefined;
    const timer = setTimeout(() => setCopied(false), SHOWN_MILLISECONDS);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = async () => {
    await copyText(text);
    setCopied(true);
    announce("Copied");
  };
  return (
    <button type="button" class="icon copy" aria-label={`Copy ${what}`} title={`Copy ${what}`} onClick={copy}>
      {copied ? <CheckIcon /> : icon}
    </button>
  );
}

/** Without TLS, browsers offer no clipboard except to a page on the same machine: the older way works everywhere. */
async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "hidden";
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
