import { useEffect, useRef } from "preact/hooks";
import type { WithSecret } from "../../api/access";
import { Copy } from "../../parts/copy";

/** A new secret, which cannot be shown again. */
export function Secret({ made, onClose }: { made: WithSecret; onClose: () => void }) {
  const panel = useRef<HTMLDivElement>(null);
  useEffect(() => panel.current?.focus(), []);
  const name = made.credential.display_name || made.credential.credential_id;
  return (
    <div ref={panel} class="note good secret" role="group" aria-label={`The secret of ${name}`} tabIndex={-1}>
      <p>
        <strong dir="auto">{name}</strong>: store this secret now. It is not shown again, and Userfold keeps only a digest of it.
      </p>
      <div class="command">
        <pre>{made.secret}</pre>
        <Copy text={made.secret} what="secret" />
      </div>
      <p class="buttons">
        <button type="button" onClick={onClose}>
          I have stored it
        </button>
      </p>
    </div>
  );
}
