-- Run once, by psql, when Postgres makes its data folder: what `npm start` makes on one machine. Roles for
-- readers and projectors are made by `foldlog migrate`.
\set owner_password `cat /run/foldlog/foldlog_owner`
\set registry_password `cat /run/foldlog/apicurio`
create role foldlog_owner login createrole password :'owner_password';
create role apicurio login password :'registry_password';
create database foldlog owner foldlog_owner;
create database apicurio owner apicurio;
revoke connect, temporary on database apicurio, foldlog, postgres from public;
