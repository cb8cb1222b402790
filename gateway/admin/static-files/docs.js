"use strict";

SwaggerUIBundle({
  dom_id: "#api",
  url: "openapi.json",
  deepLinking: true,
  displayRequestDuration: true,
  // Credentials are in the memory of the page alone, and nothing is sent to another site.
  persistAuthorization: false,
  validatorUrl: null,
});
