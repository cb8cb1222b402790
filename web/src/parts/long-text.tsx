import { useState } from "preact/hooks";
import { Copy } from "./copy";
import { counted, grouped } from "./text";
import { cut } from "./value";

/** Few enough characters for a browser to lay out at once. */
const PIECE = 10_000;

/** A long text, whole, in a box that scrolls. More of it is laid out as a person scrolls on. */
export function LongText({ text, label }: { text: string; label: string }) {
  const [end, setEnd] = useState(PIECE);
  const pieces: string[] = [];
  for (let from = 0; from < Math.min(end, text.length); ) {
    const piece = cut(text.slice(from, from + PIECE + 1), PIECE);
    pieces.push(piece);
    from += piece.length;
  }
  const onScroll = (event: Event) => {
    const { scrollTop, clientHeight, scrollHeight } = event.currentTarget as HTMLElement;
    if (end < text.length && scrollTop + 2 * clientHeight > scrollHeight) setEnd(end + PIECE);
  };
  return (
    <div class="long-text">
      <div class="long-text-box" role="region" aria-label={label} tabIndex={0} onScroll={onScroll} dir="auto">
        {pieces.map((piece, index) => (
          <pre key={index}>{piece}</pre>
        ))}
      </div>
      <p class="soft">
        {end < text.length && `${grouped(end)} of `}
        {counted(text.length, "character")}
        {end < text.length && (
          <button type="button" class="plain" onClick={() => setEnd(end + 10 * PIECE)}>
            Show more
          </button>
        )}
        <Copy text={text} what="whole text" />
      </p>
    </div>
  );
}
