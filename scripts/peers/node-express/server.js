// Express and node-postgres, written as their documentation has it.
'use strict';

const express = require('express');
const { Pool } = require('pg');

const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 10, connectionTimeoutMillis: 1000 });
pool.on('error', (error) => console.error(error.message));

const app = express();
app.set('json spaces', 2);

app.get('/', (request, response) => {
  response.json({ status: true });
});

app.get('/ping', async (request, response) => {
  try {
    const { command, rowCount, rows, fields } = await pool.query('select 1');
    response.json({ status: true, result: { command, rowCount, rows, fields } });
  } catch (error) {
    response.status(400).json({ status: false, error: { code: error.code, message: error.message } });
  }
});

app.listen(Number(process.env.PORT), '127.0.0.1');
