<?php
// SPDX-License-Identifier: BSD-2-Clause
// GET /x/ID is GET /y/ID at the port in BACKEND.
$id = basename(parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH));
echo file_get_contents('http://127.0.0.1:' . getenv('BACKEND') . '/y/' . $id);
