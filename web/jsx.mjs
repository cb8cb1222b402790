// What elements become. It is shorter than the calls of the automatic runtime, by a kilobyte of the compressed script.
export { Fragment, h } from "preact";
