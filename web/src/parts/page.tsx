import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

/** The head of a view: its title, also of the browser's tab, and what can be done. The focus begins here. */
export function PageHead({ title, lead, children }: { title: string; lead?: ComponentChildren; children?: ComponentChildren }) {
  return (
    <header class="page-head">
      <div>
        <Title text={title} />
        {lead && <p class="soft">{lead}</p>}
      </div>
      {children && <div class="actions">{children}</div>}
    </header>
  );
}

/** A level-one heading that receives the focus when its view is opened, so that keyboards and screen readers start there. */
export function Title({ text }: { text: string }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${text} · Userfold`;
  }, [text]);
  useEffect(() => {
    if (document.activeElement === document.body || !document.activeElement?.matches("main *")) heading.current?.focus();
  }, []);
  return (
    <h1 ref={heading} tabIndex={-1} dir="auto">
      {text}
    </h1>
  );
}

/** A framed part of a page. */
export function Section({
  title,
  note,
  aside,
  children,
}: {
  title: string;
  note?: ComponentChildren;
  aside?: ComponentChildren;
  children: ComponentChildren;
}) {
  return (
    <section>
      <h2>
        {title} {note && <small>{note}</small>}
        {aside && <span class="right">{aside}</span>}
      </h2>
      {children}
    </section>
  );
}
