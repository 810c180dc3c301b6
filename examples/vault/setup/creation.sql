create role "{{name}}" login password '{{password}}' valid until '{{expiration}}' in role app_owner;
alter role "{{name}}" set role to app_owner;
