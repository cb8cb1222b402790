// Parse Server has no upsert, so its users write a Cloud Function: find the stored objects, create the missing ones, save
// all. `campaign` and `metadata` are replaced as a whole, so only ids are fetched.
Parse.allowCustomObjectId = true;

const options = { useMasterKey: true };

async function save(users) {
  const ids = users.map(user => user.user_id);
  const query = new Parse.Query('Profile').containedIn('objectId', ids).select('objectId').limit(ids.length);
  const stored = new Map((await query.find(options)).map(object => [object.id, object]));
  const objects = users.map(user => {
    const object = stored.get(user.user_id) || new Parse.Object('Profile', { id: user.user_id });
    object.set('company_id', user.company_id);
    object.set('campaign', user.campaign);
    object.set('metadata', user.metadata);
    object.addUnique('aliases', user.session_token);
    return object;
  });
  await Parse.Object.saveAll(objects, { ...options, batchSize: 100 });
  return {};
}

Parse.Cloud.define('updateUser', ({ params }) => save([params]));
Parse.Cloud.define('updateUsers', ({ params }) => save(params.users));
