// The examples of the API page as written there, but for the base URL, the application id, two commas and a brace.
// Prints what the callbacks were given: "single STATUS" and "batch STATUS", or the error as JSON.
var moesifapi = require('moesifapi');
var api = moesifapi.ApiController;

var config = moesifapi.configuration;
config.BaseUri = process.env.BASE_URL;
config.ApplicationId = process.env.KEY;

// Only userId is required.
// metadata can be any custom object
var user = {
  userId: '12345',
  companyId: '67890',
  campaign: {
    utmSource: 'google',
    utmMedium: 'cpc', 
    utmCampaign: 'adwords',
    utmTerm: 'api+tooling',
    utmContent: 'landing'
  },
  metadata: {
    email: 'john@acmeinc.com',
    firstName: 'John',
    lastName: 'Doe',
    title: 'Software Engineer',
    salesInfo: {
        stage: 'Customer',
        lifetimeValue: 24000,
        accountOwner: 'mary@contoso.com',
    },
  }
};

var userA = {
  userId: '12345',
  companyId: '67890',
  campaign: {
    utmSource: 'google',
    utmMedium: 'cpc', 
    utmCampaign: 'adwords',
    utmTerm: 'api+tooling',
    utmContent: 'landing'
  },
  metadata: {
    email: 'john@acmeinc.com',
    firstName: 'John',
    lastName: 'Doe',
    title: 'Software Engineer',
    salesInfo: {
        stage: 'Customer',
        lifetimeValue: 24000,
        accountOwner: 'mary@contoso.com',
    },
  }
};

var userB = {
  userId: '67890',
  companyId: '67890',
  campaign: {
    utmSource: 'google',
    utmMedium: 'cpc', 
    utmCampaign: 'adwords',
    utmTerm: 'api+tooling',
    utmContent: 'landing'
  },
  metadata: {
    email: 'mary@contoso.com',
    firstName: 'Mary',
    lastName: 'Jane',
    title: 'Software Engineer',
    salesInfo: {
        stage: 'Customer',
        lifetimeValue: 24000,
        accountOwner: 'mary@contoso.com',
    },
  }
};

var users = [
  new moesifapi.UserModel(userA),
  new moesifapi.UserModel(userB)
];

function report(name, error, response) {
  console.log(name, error ? JSON.stringify(error) : response.statusCode);
}

// 4. Create a single user
api.updateUser(new moesifapi.UserModel(user), function(error, response, context) {
  report('single', error, response);
  // 4. Send batch of users
  api.updateUsersBatch(users, function(error, response, context) {
    report('batch', error, response);
  });
});
