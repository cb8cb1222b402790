// What a program does that uses both packages: users, companies, subscriptions, actions and events, first with
// callbacks, then as promises that nobody awaits, as the middleware's documentation shows. A rejected one ends Node.
// USERS and COMPANIES have the updates of each package, as JSON in the form of the HTTP API.
// Prints "NAME STATUS" of each callback, then "alive" when all of it is over.
const http = require('http');
const moesif = require('moesif-nodejs');
const moesifapi = require('moesifapi');

const middleware = moesif({
  applicationId: process.env.KEY,
  baseUri: process.env.BASE_URL,
  batchMaxTime: 501,
  identifyUser: () => '12345',
  callback: (error) => { if (error) console.log('middleware', JSON.stringify(error)); },
});
const api = moesifapi.ApiController;

const event = () => new moesifapi.EventModel({
  request: { time: new Date().toISOString(), uri: 'https://shop.example/x', verb: 'GET', headers: { a: 'b' } },
  response: { time: new Date().toISOString(), status: 200, headers: {}, body: { a: 1 } },
  userId: '12345',
});
const inCamelCase = (object) => Object.fromEntries(Object.entries(object).map(
  ([name, value]) => [name.replace(/_(.)/g, (_, letter) => letter.toUpperCase()), value],
));
const fieldsOf = (update) => ({
  ...inCamelCase(update),
  ...(update.campaign && { campaign: inCamelCase(update.campaign) }),
});
const [users, companies] = ['USERS', 'COMPANIES'].map((name) => Object.fromEntries(
  Object.entries(JSON.parse(process.env[name])).map(([key, updates]) => [key, updates.map(fieldsOf)]),
));
const subscription = { subscriptionId: 's', companyId: '67890', status: 'active' };
const action = { actionName: 'Clicked', userId: '12345', request: { uri: 'https://shop.example/x' }, metadata: {} };

const called = (name, model) => new Promise((resolve) => {
  api[name](model, (error, response) => {
    console.log(name, error ? JSON.stringify(error) : response.statusCode);
    resolve();
  });
});

async function main() {
  const [user, ...furtherUsers] = users.moesifapi.map((fields) => new moesifapi.UserModel(fields));
  const [company, ...furtherCompanies] = companies.moesifapi.map((fields) => new moesifapi.CompanyModel(fields));
  await called('updateUser', user);
  await called('updateUsersBatch', furtherUsers);
  await called('updateCompany', company);
  await called('updateCompaniesBatch', furtherCompanies);
  await called('updateSubscription', new moesifapi.SubscriptionModel(subscription));
  await called('updateSubscriptionsBatch', [new moesifapi.SubscriptionModel(subscription)]);
  await called('sendAction', new moesifapi.ActionModel(action));
  await called('sendActionsBatch', [new moesifapi.ActionModel(action)]);
  await called('createEvent', event());
  await called('createEventsBatch', [event(), event()]);

  middleware.updateUser(users['moesif-nodejs'][0]);
  middleware.updateUsersBatch(users['moesif-nodejs'].slice(1));
  middleware.updateCompany(companies['moesif-nodejs'][0]);
  middleware.updateCompaniesBatch(companies['moesif-nodejs'].slice(1));
  middleware.updateSubscription(subscription);
  middleware.updateSubscriptionsBatch([subscription]);
  middleware.sendAction(action);
  middleware.sendActionsBatch([action]);

  // A site of one page, which the middleware watches.
  const site = http.createServer((request, response) => middleware(request, response, () => response.end('{}')));
  await new Promise((resolve) => site.listen(0, '127.0.0.1', resolve));
  await fetch(`http://127.0.0.1:${site.address().port}/x`).then((response) => response.text());
  site.close();
  site.closeAllConnections();

  // By then whatever is under way is answered, and the middleware's batch of events is sent: an end of the process
  // would have come.
  for (let number = 0; number < 20; number += 1) {
    await middleware.updateUser({ userId: 'last' });
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  console.log('alive');
  process.exit(0);
}

main();
