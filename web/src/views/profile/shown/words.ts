// What a profile says, in words: pure.

import { isObject } from "../../../api/json";
import type { Campaign, NameAndVersion, Profile } from "../../../api/types";
import { cut } from "../../../parts/value";

/** The limit of a name in a heading. */
const NAME = 120;

function text(profile: Profile, key: string): string {
  const { metadata } = profile;
  const value = isObject(metadata) && Object.hasOwn(metadata, key) ? metadata[key] : undefined;
  return typeof value === "string" ? value.trim() : "";
}

/** How to call a profile: the name, else the email address, else the id. */
export function nameOf(profile: Profile, id: string): string {
  const name = text(profile, "name") || [text(profile, "first_name"), text(profile, "last_name")].filter(Boolean).join(" ");
  const full = name || text(profile, "email") || id;
  return full.length > NAME ? `${cut(full, NAME)}…` : full;
}

/** One or two letters for the place of a picture. */
export function initialsOf(name: string): string {
  const words = name.replace(/@.*/, "").split(/[\s._-]+/).filter((word) => /^[\p{L}\p{N}]/u.test(word));
  const letters = [words[0], words.length > 1 ? words.at(-1) : ""].map((word) => [...(word ?? "")][0] ?? "");
  return letters.join("").toUpperCase() || "?";
}

/** What is said below the name. */
export function titlesOf(profile: Profile, name: string): { email: string; title: string } {
  const email = text(profile, "email");
  return { email: email === name ? "" : cut(email, NAME), title: cut(text(profile, "title"), NAME) };
}

/** Where a campaign came from, such as `google / cpc`. */
export function touchOf(campaign: Campaign | undefined): string {
  if (!campaign) return "";
  const { utm_source, utm_medium, referring_domain, referrer } = campaign;
  const touch = utm_source || utm_medium ? [utm_source, utm_medium].filter(Boolean).join(" / ") : referring_domain || referrer;
  return cut(touch || Object.values(campaign).find(Boolean) || "", NAME);
}

/** The device in words, such as `Chrome 141, Windows 10`. */
export function deviceOf(user: Profile): string {
  const { browser, os, device } = user.user_agent ?? {};
  const known = [versioned(browser), versioned(os), device?.name || device?.model];
  return cut(known.filter(Boolean).join(", "), NAME);
}

function versioned(thing: NameAndVersion | undefined): string {
  // Of 141.0.0.0, people say 141; of 10.15.7, 10.15.
  const version = thing?.version?.split(".").slice(0, 2).join(".").replace(/\.0$/, "");
  return [thing?.name, version].filter(Boolean).join(" ");
}
