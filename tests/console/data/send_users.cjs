// A product that sends the users in USERS, a JSON list in the form of the HTTP API, with the package moesifapi of npm:
// the first half one by one, the rest as a batch. Then it sends what is refused. Prints the status
// of each call, or `refused`.
const moesifapi = require('moesifapi');

moesifapi.configuration.BaseUri = process.env.BASE_URL;
moesifapi.configuration.ApplicationId = process.env.KEY;
const api = moesifapi.ApiController;

const inCamelCase = (object) => Object.fromEntries(Object.entries(object).map(
  ([name, value]) => [name.replace(/_(.)/g, (_, letter) => letter.toUpperCase()), value],
));
const modelOf = (user) => new moesifapi.UserModel({
  ...inCamelCase(user),
  ...(user.campaign && { campaign: inCamelCase(user.campaign) }),
});
const called = (name, model) => new Promise((resolve) => {
  api[name](model, (error, response) => resolve(console.log(error ? 'refused' : response.statusCode)));
});

async function main() {
  const models = JSON.parse(process.env.USERS).map(modelOf);
  const half = Math.ceil(models.length / 2);
  for (const model of models.slice(0, half)) await called('updateUser', model);
  await called('updateUsersBatch', models.slice(half));
  for (let times = 0; times < 3; times += 1) await called('updateUser', modelOf({ metadata: { plan: 'team' } }));
  await called('updateUser', modelOf({ user_id: 'usr_1000', company_id: ['contoso'] }));
}

main();
