import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "../../api/errors";
import { announce } from "../../state/announce";
import { counted } from "../text";
import { NO_SUGGESTIONS, bestGuess, single, suggest, usersOfToken, type Found } from "./find";
import { HIDDEN_OPTIONS, optionsFor, userOption, type Option } from "./options";
import { recognised } from "./recognise";

const PAUSE_MILLISECONDS = 80;

/** What the box says about a search that has led to no place. */
export interface Outcome {
  readonly text: string;
  readonly error?: ApiError;
}

export interface Search {
  readonly typed: string;
  /** Whether the text is shown as dots, because it looks like a token. */
  readonly isHidden: boolean;
  readonly options: readonly Option[];
  readonly outcome: Outcome | undefined;
  readonly type: (text: string) => void;
  /** Do what the best guess says, or what an option does. `onPlace` is called with the place that it leads to. */
  readonly run: (option: Option | undefined) => void;
}

export const HIDDEN = "This looks like a token, so it is hidden.";
const NOT_A_TOKEN = "No user has this token. What is stored of tokens is their digests: only the whole token finds its user.";
const TRIED = "Tried: user ids and email addresses that begin with it, companies, visitors, an anonymous id and a session token.";

/** The state of the search box: what is typed, and what it may mean. A later text makes the requests of an earlier one moot. */
export function useSearch(onPlace: (place: string) => void): Search {
  const [typed, setTyped] = useState("");
  const [isHidden, setHidden] = useState(false);
  /** Whether the person has said that the text is no token. */
  const [isShown, setShown] = useState(false);
  const [suggestions, setSuggestions] = useState(NO_SUGGESTIONS);
  const [sharers, setSharers] = useState<readonly Option[]>([]);
  const [outcome, setOutcome] = useState<Outcome>();
  const running = useRef<AbortController | undefined>(undefined);

  const text = typed.trim();
  const form = recognised(text);
  const isFilter = form === "filter";
  const isSuggesting = text !== "" && !isHidden && !isFilter;

  const begin = (): AbortSignal => {
    running.current?.abort();
    running.current = new AbortController();
    return running.current.signal;
  };
  useEffect(() => () => running.current?.abort(), []);

  useEffect(() => {
    if (!isSuggesting) return setSuggestions(NO_SUGGESTIONS);
    const controller = new AbortController();
    const timer = setTimeout(() => {
      suggest(text, controller.signal).then(
        (found) => {
          if (controller.signal.aborted) return;
          setSuggestions(found);
          const count = found.users.length + found.companies.length;
          announce(count > 0 ? counted(count, "suggestion") : "No suggestions");
        },
        (error: unknown) => {
          if (controller.signal.aborted) return;
          if (!(error instanceof ApiError)) throw error;
          setOutcome({ text: error.message, error });
        },
      );
    }, PAUSE_MILLISECONDS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [text, isSuggesting]);

  const type = (changed: string) => {
    begin();
    setTyped(changed);
    setOutcome(undefined);
    setSharers([]);
    // What was hidden once stays hidden while it is edited.
    if (!changed.trim()) {
      setHidden(false);
      setShown(false);
    } else if (!isHidden && !isShown && recognised(changed) === "token") {
      setHidden(true);
      announce(HIDDEN);
    }
  };

  const follow = async (search: (signal: AbortSignal) => Promise<Found>, nothing: string) => {
    const signal = begin();
    try {
      const found = await search(signal);
      if (signal.aborted) return;
      if ("place" in found) return onPlace(found.place);
      setSharers(found.users.map(userOption));
      const said = found.users.length > 0 ? `${counted(found.users.length, "user")} share this token.` : nothing;
      setOutcome({ text: said });
      announce(said);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof ApiError)) throw error;
      setOutcome({ text: error.message, error });
    }
  };

  const run = (option: Option | undefined) => {
    if (!text) return;
    if (option?.kind === "place") return onPlace(option.place);
    if (option?.kind === "not-a-token") {
      setHidden(false);
      setShown(true);
      setOutcome(undefined);
      return;
    }
    if (option?.kind === "token" || isHidden) {
      setHidden(true);
      void follow(async (signal) => single(await usersOfToken(typed, signal)), NOT_A_TOKEN);
    } else if (isFilter) {
      const [filter] = optionsFor(typed, true, NO_SUGGESTIONS);
      if (filter?.kind === "place") onPlace(filter.place);
    } else {
      void follow((signal) => bestGuess(text, signal), `Nothing is found. ${TRIED}`);
    }
  };

  const options = isHidden ? [...sharers, ...HIDDEN_OPTIONS] : [...sharers, ...optionsFor(typed, isFilter, suggestions)];
  return { typed, isHidden, options, outcome, type, run };
}
