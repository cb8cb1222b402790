/** A bar as long as a share of 1. A text beside it says the same. */
export function Bar({ share, isStriped = false }: { share: number; isStriped?: boolean }) {
  // What there is of something can be seen, however little it is.
  const width = share > 0 ? Math.max(1, Math.min(100, share * 100)) : 0;
  return (
    <svg class={isStriped ? "bar striped" : "bar"} aria-hidden="true" focusable="false">
      <rect width={`${width}%`} height="100%" rx="2" />
    </svg>
  );
}
