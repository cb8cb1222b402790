import { useState } from "preact/hooks";
import { COMPANIES, USERS, VISITORS, type ProfileKind } from "../../api/kinds";
import { getProfile } from "../../api/profiles";
import type { Profile } from "../../api/types";
import { ActionButton } from "../../parts/action-button";
import { saveExport } from "../../parts/save-export";
import { ErrorNote } from "../../parts/states";
import { announce } from "../../state/announce";
import { useResource } from "../../state/resource";
import { href, route } from "../../state/router";
import { api, can } from "../../state/session";
import { Count } from "../list/count";
import { Listed, useList } from "../list/list-view";
import { sourceOf } from "../list/source";
import { Commands } from "./commands";
import { EraseProfile } from "./erase-profile";
import { Facts } from "./shown/facts";
import { Head } from "./shown/head";
import { Campaigns, Derived, Identities } from "./shown/identities";
import { Metadata } from "./shown/metadata";
import { MissingProfile } from "./missing-profile";
import { Raw } from "./shown/raw";
import { LoadingProfile, Tabs } from "./shown/tabs";

export const CompanyView = () => <PlainView of={COMPANIES} />;
export const VisitorView = () => <PlainView of={VISITORS} />;

/** One company or visitor: what is known of it. It is changed by what products send alone. */
function PlainView({ of }: { of: ProfileKind }) {
  const id = route.value.args[0] ?? "";
  const { data, error, reload } = useResource(id, (signal) => getProfile(api(), of, id, signal));
  const [isErasing, setErasing] = useState(false);
  const [erased, setErased] = useState("");
  if (erased) {
    return (
      <>
        <Head of={of} id={id} profile={undefined} />
        <p class="note good">{erased}</p>
        <p>
          <a href={href([of.name])}>All {of.name}</a>
        </p>
      </>
    );
  }
  return (
    <>
      <Head of={of} id={id} profile={data ?? undefined}>
        {data && (
          <>
            <ActionButton label="Export" title={`Everything that is stored about this ${of.one}, as a file`} run={() => saveExport(of, id)} />
            {can(`delete:${of.scope}`) && (
              <button type="button" class="danger" aria-expanded={isErasing} onClick={() => setErasing(!isErasing)}>
                Erase…
              </button>
            )}
          </>
        )}
      </Head>
      {error && <ErrorNote error={error} retry={reload} />}
      {isErasing && (
        <EraseProfile
          of={of}
          id={id}
          onClose={() => setErasing(false)}
          onDone={(text) => {
            announce(text);
            setErased(text);
          }}
        />
      )}
      {data ? <Content of={of} id={id} profile={data} /> : data === null ? <MissingProfile of={of} id={id} /> : !error && <LoadingProfile />}
    </>
  );
}

const USERS_TAB = "users";

function Content({ of, id, profile }: { of: ProfileKind; id: string; profile: Profile }) {
  const hasUsers = of === COMPANIES && can("read:users");
  const tab = route.value.query["tab"];
  return (
    <>
      <Facts profile={profile} />
      <Tabs place={[of.one, id]} others={hasUsers ? [[USERS_TAB, "Users"]] : []} />
      {tab === "raw" ? (
        <Raw profile={profile} request={`POST /v1/${of.name}:search`} />
      ) : hasUsers && tab === USERS_TAB ? (
        <UsersOf companyId={id} />
      ) : (
        <div class="columns">
          <div>
            <Metadata metadata={profile.metadata ?? {}} />
          </div>
          <div>
            <Identities of={of} profile={profile} />
            <Campaigns profile={profile} />
            <Derived of={of} profile={profile} />
            <Commands of={of} id={id} />
          </div>
        </div>
      )}
    </>
  );
}

/** The users whose profiles name a company, as the list of users shows them. */
function UsersOf({ companyId }: { companyId: string }) {
  const { list, columns } = useList(sourceOf(USERS, { company: companyId }));
  return (
    <div class="users-of">
      <p class="soft">
        <Count list={list} />
      </p>
      <Listed list={list} columns={columns} />
    </div>
  );
}
