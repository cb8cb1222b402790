// What the browser loads when it is first shown: see later.tsx. The build makes a file of its own of it.

export { AccessView } from "./access/access";
export { PrivacyView } from "./privacy/privacy";
export { Merge } from "./profile/merge";
export { CompanyView, VisitorView } from "./profile/plain";
