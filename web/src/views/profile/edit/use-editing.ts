import { useEffect, useState } from "preact/hooks";
import { counted } from "../../../parts/text";
import type { Path } from "../../../api/paths";
import type { Json, User } from "../../../api/types";
import { announce } from "../../../state/announce";
import { guardLeaving } from "../../../state/router";
import { changesOf, draftOf, onto, withValue, without, type Change, type Draft } from "./draft";

/** Where a person is: `edit` the profile, `review` the update, or look at a conflict with what another has stored. */
export type Step = { readonly name: "edit" } | { readonly name: "review" } | { readonly name: "conflict"; readonly now: User };

export interface Editing {
  readonly draft: Draft;
  readonly changes: readonly Change[];
  readonly step: Step;
  readonly setDraft: (draft: Draft) => void;
  readonly set: (path: Path, value: Json | undefined) => void;
  readonly undo: (change: Change) => void;
  readonly go: (step: Step) => void;
  /** Count the changes from another state of the profile, and edit on. */
  readonly rebase: (now: User) => void;
}

export interface Editor {
  readonly editing: Editing | null;
  readonly begin: (user: User) => void;
  /** Leave. With changes that are not sent, asks first: then `isLeaving` is set. */
  readonly leave: () => void;
  readonly isLeaving: boolean;
  /** The answer: leave and forget the changes, or stay. */
  readonly answer: (leaves: boolean) => void;
  /** End, because all is sent. */
  readonly end: () => void;
}

/** The changes that a person makes in the profile of one user. */
export function useEditor(): Editor {
  const [draft, setDraft] = useState<Draft | null>(null);
  const [step, setStep] = useState<Step>({ name: "edit" });
  // What to do once the person has agreed to leave.
  const [leaving, setLeaving] = useState<{ then: () => void } | null>(null);
  const changes = draft ? changesOf(draft) : [];
  const isChanged = changes.length > 0;

  const end = () => {
    setDraft(null);
    setStep({ name: "edit" });
    setLeaving(null);
  };
  useEffect(() => (isChanged ? guardLeaving((proceed) => setLeaving({ then: proceed })) : undefined), [isChanged]);

  const editing: Editing | null = draft && {
    draft,
    changes,
    step,
    setDraft,
    // A row of the tree may hold an older `set`: it changes the latest draft all the same.
    set: (path, value) => setDraft((latest) => latest && withValue(latest, path, value)),
    undo: (change) => {
      const next = without(draft, change);
      setDraft(next);
      if (changesOf(next).length === 0 && step.name === "review") setStep({ name: "edit" });
    },
    go: setStep,
    rebase: (now) => {
      const next = onto(draft, now);
      setDraft(next);
      setStep(changesOf(next).length > 0 ? { name: "review" } : { name: "edit" });
      announce(`${counted(changesOf(next).length, "change")} on the new state of the profile`);
    },
  };
  return {
    editing,
    begin: (user) => setDraft(draftOf(user)),
    leave: () => (isChanged ? setLeaving({ then: end }) : end()),
    isLeaving: leaving !== null,
    answer: (leaves) => {
      if (leaves) {
        end();
        leaving?.then();
      }
      setLeaving(null);
    },
    end,
  };
}
