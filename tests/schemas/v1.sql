PRAGMA page_size=4096;
BEGIN TRANSACTION;
DROP TABLE IF EXISTS alert;
CREATE TABLE alert(
  n INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  key TEXT NOT NULL UNIQUE,
  digest TEXT NOT NULL,
  source TEXT NOT NULL,
  state TEXT NOT NULL,
  symbol TEXT NOT NULL,
  action TEXT NOT NULL,
  strategy TEXT,
  body TEXT NOT NULL,
  alert TEXT NOT NULL,
  received_at REAL NOT NULL,
  good_until REAL NOT NULL,
  updated_at REAL NOT NULL
) STRICT;
INSERT INTO alert VALUES(1,'a00000000000000001','key1','d','webhook','placed','BTCUSDT','buy',NULL,'{"symbol":"BTCUSDT","amount":1.50,"odd":1E+400}','{"symbol":"BTCUSDT","action":"buy","timestamp":null,"confidence":null,"id":null,"exchange":null,"exchanges":[],"amount":1,"notional":null,"percent":null,"sizing":null,"order_type":"market","price":null,"stop_price":null,"trail_percent":null,"take_profit":[],"stop_loss":null,"time_in_force":null,"post_only":false,"reduce_only":false,"leverage":null,"margin_mode":null,"market_position":null,"prev_market_position":null,"position_size":null,"strategy":null,"order_id":null,"bar_time":null,"comment":null}',1800014400.0,1800014700.0,1800014400.0);
INSERT INTO alert VALUES(2,'a00000000000000002','key2','d','webhook','placed','BTCUSDT','buy',NULL,'{"symbol":"BTCUSDT","amount":1.50,"odd":1E+400}','{"symbol":"BTCUSDT","action":"buy","timestamp":null,"confidence":null,"id":null,"exchange":null,"exchanges":[],"amount":1,"notional":null,"percent":null,"sizing":null,"order_type":"market","price":null,"stop_price":null,"trail_percent":null,"take_profit":[],"stop_loss":null,"time_in_force":null,"post_only":false,"reduce_only":false,"leverage":null,"margin_mode":null,"market_position":null,"prev_market_position":null,"position_size":null,"strategy":null,"order_id":null,"bar_time":null,"comment":null}',1800014400.0,1800014700.0,1800014400.0);
INSERT INTO alert VALUES(3,'a00000000000000003','key3','d','webhook','working','BTCUSDT','buy',NULL,'{"symbol":"BTCUSDT","amount":1.50,"odd":1E+400}','{"symbol":"BTCUSDT","action":"buy","timestamp":null,"confidence":null,"id":null,"exchange":null,"exchanges":[],"amount":1,"notional":null,"percent":null,"sizing":null,"order_type":"market","price":null,"stop_price":null,"trail_percent":null,"take_profit":[],"stop_loss":null,"time_in_force":null,"post_only":false,"reduce_only":false,"leverage":null,"margin_mode":null,"market_position":null,"prev_market_position":null,"position_size":null,"strategy":null,"order_id":null,"bar_time":null,"comment":null}',1800014400.0,1800014700.0,1800014400.0);
INSERT INTO alert VALUES(4,'a00000000000000004','key4','d','webhook','refused','BTCUSDT','buy',NULL,'{"symbol":"BTCUSDT","amount":1.50,"odd":1E+400}','{"symbol":"BTCUSDT","action":"buy","timestamp":null,"confidence":null,"id":null,"exchange":null,"exchanges":[],"amount":1,"notional":null,"percent":null,"sizing":null,"order_type":"market","price":null,"stop_price":null,"trail_percent":null,"take_profit":[],"stop_loss":null,"time_in_force":null,"post_only":false,"reduce_only":false,"leverage":null,"margin_mode":null,"market_position":null,"prev_market_position":null,"position_size":null,"strategy":null,"order_id":null,"bar_time":null,"comment":null}',1800014400.0,1800014700.0,1800014400.0);
INSERT INTO alert VALUES(5,'a00000000000000005','key5','d','webhook','accepted','BTCUSDT','buy',NULL,'{"symbol":"BTCUSDT","amount":1.50,"odd":1E+400}','{"symbol":"BTCUSDT","action":"buy","timestamp":null,"confidence":null,"id":null,"exchange":null,"exchanges":[],"amount":1,"notional":null,"percent":null,"sizing":null,"order_type":"market","price":null,"stop_price":null,"trail_percent":null,"take_profit":[],"stop_loss":null,"time_in_force":null,"post_only":false,"reduce_only":false,"leverage":null,"margin_mode":null,"market_position":null,"prev_market_position":null,"position_size":null,"strategy":null,"order_id":null,"bar_time":null,"comment":null}',1800014400.0,1800014700.0,1800014400.0);
CREATE INDEX alert_by_state ON alert(state, n);
DROP TABLE IF EXISTS attempt;
CREATE TABLE attempt(
  client_order_id TEXT PRIMARY KEY,
  order_id TEXT NOT NULL REFERENCES order_(id),
  account TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  sent_at REAL,
  UNIQUE(order_id, attempt)
) STRICT, WITHOUT ROWID;
INSERT INTO attempt VALUES('qbcn8cn3td8wgxy1zq','qbcn8cn3td8wgxy1zq','paper',1,NULL);
INSERT INTO attempt VALUES('qdbjpdmspo3yjsc1yn','qdbjpdmspo3yjsc1yn','paper',1,1800014400.0);
INSERT INTO attempt VALUES('qf8pf3agx9hpe0373v','qf8pf3agx9hpe0373v','paper',1,1800014400.0);
INSERT INTO attempt VALUES('qskxmm7fgatntz3dco','qskxmm7fgatntz3dco','paper',1,1800014400.0);
CREATE INDEX attempt_sent ON attempt(account, sent_at) WHERE sent_at IS NOT NULL;
DROP TABLE IF EXISTS chain_anchor;
CREATE TABLE chain_anchor(
  seq INTEGER PRIMARY KEY,
  hash TEXT NOT NULL
) STRICT;
DROP TABLE IF EXISTS event;
CREATE TABLE event(
  seq INTEGER PRIMARY KEY,
  time REAL NOT NULL,
  kind TEXT NOT NULL,
  alert_id TEXT,
  order_id TEXT,
  account TEXT,
  data TEXT NOT NULL,
  hash TEXT NOT NULL
) STRICT;
INSERT INTO event VALUES(1,1800014400.0,'alert_accepted','a00000000000000001',NULL,NULL,'{"accounts":["paper"],"action":"buy","digest":"d","source":"webhook","symbol":"BTCUSDT"}','f1ec782c837162825195991193ef18c685145746ff1a0f72e0023fad72c999d0');
INSERT INTO event VALUES(2,1800014400.0,'intent_planned','a00000000000000001',NULL,'paper','{"orders":["qf8pf3agx9hpe0373v","qbcn8cn3td8wgxy1zq"]}','ca6e8a440b9a5f3bf949e21fb735fbf0381501c57224e83eeb8fd7380d813a2a');
INSERT INTO event VALUES(3,1800014400.0,'order_planned','a00000000000000001','qf8pf3agx9hpe0373v','paper','{"amount":"0.5","attempt":1,"client_order_id":"qf8pf3agx9hpe0373v","filled":"0","leg":"entry","side":"buy","symbol":"BTC/USDT","type":"market"}','44127d15343adb4559b1be971cf408d46e618206bb08c3f30099212292f15317');
INSERT INTO event VALUES(4,1800014400.0,'order_planned','a00000000000000001','qbcn8cn3td8wgxy1zq','paper','{"amount":"0.5","attempt":1,"client_order_id":"qbcn8cn3td8wgxy1zq","filled":"0","leg":"stop_loss","parent":"qf8pf3agx9hpe0373v","side":"sell","stop_price":"90","symbol":"BTC/USDT","type":"stop"}','28cf9b5d3540b6adf71cb04916d408b58542558fc41062100e2c90211c7b3554');
INSERT INTO event VALUES(5,1800014400.0,'alert_working','a00000000000000001',NULL,NULL,'{"action":"buy","reasons":[],"symbol":"BTCUSDT"}','37a8d12cf138e7422da2d17544f3e8274e5d201ca74255d72abc2bc5becf2606');
INSERT INTO event VALUES(6,1800014400.0,'order_sending','a00000000000000001','qf8pf3agx9hpe0373v','paper','{"amount":"0.5","attempt":1,"client_order_id":"qf8pf3agx9hpe0373v","filled":"0","leg":"entry","send_by":1800014405.0,"side":"buy","symbol":"BTC/USDT","type":"market"}','42aab3c1d744282c43cd88c23c0ec3abcad5a577bff36c5c266b646ad39b6a76');
INSERT INTO event VALUES(7,1800014400.0,'order_filled','a00000000000000001','qf8pf3agx9hpe0373v','paper','{"amount":"0.5","attempt":1,"average":"100.5","client_order_id":"qf8pf3agx9hpe0373v","exchange_order_id":"Xe0373v","filled":"0.5","leg":"entry","send_by":1800014405.0,"side":"buy","symbol":"BTC/USDT","type":"market"}','f534bb4a70bc66ac66b581514efe1a551eb58ad530d9f563a4dfe64d7ab458b6');
INSERT INTO event VALUES(8,1800014400.0,'fill','a00000000000000001','qf8pf3agx9hpe0373v','paper','{"amount":"0.2","client_order_id":"qf8pf3agx9hpe0373v","exchange_order_id":"Xe0373v","fee":"0.02","fee_currency":"USDT","filled":"0.5","leg":"entry","position":"0.2","price":"100","realized":"0","side":"buy","symbol":"BTC/USDT","trade_id":"t1"}','38f10ba25149c64bc05f5d4c0af64a1cca6970114f6acc71fc608c6e22265325');
INSERT INTO event VALUES(9,1800014400.0,'fill','a00000000000000001','qf8pf3agx9hpe0373v','paper','{"amount":"0.3","client_order_id":"qf8pf3agx9hpe0373v","exchange_order_id":"Xe0373v","fee":"0.03","fee_currency":"USDT","filled":"0.5","leg":"entry","position":"0.5","price":"100.8333333333333333333333333","realized":"0","side":"buy","symbol":"BTC/USDT","trade_id":"t2"}','ceb9ed8226b18d10ea7015c8edc6ca53089549508a4671a68f90b3e41283534c');
INSERT INTO event VALUES(10,1800014400.0,'alert_placed','a00000000000000001',NULL,NULL,'{"action":"buy","reasons":[],"symbol":"BTCUSDT"}','016b64c601efaafc51eec8d45274de8aad8f9200d0b386c4bb2c2c30d7989c98');
INSERT INTO event VALUES(11,1800014400.0,'alert_accepted','a00000000000000002',NULL,NULL,'{"accounts":["paper"],"action":"buy","digest":"d","source":"webhook","symbol":"BTCUSDT"}','92520fc997ea9f93a1386f31856f1a0b6a2ee235479c989a1d66ebcc33cfaf7f');
INSERT INTO event VALUES(12,1800014400.0,'intent_planned','a00000000000000002',NULL,'paper','{"orders":["qskxmm7fgatntz3dco"]}','0636e3404fd5f8af0c8ab76cc51a645360bed3d90d2962351e6e2bd8029cf1fd');
INSERT INTO event VALUES(13,1800014400.0,'order_planned','a00000000000000002','qskxmm7fgatntz3dco','paper','{"amount":"2","attempt":1,"client_order_id":"qskxmm7fgatntz3dco","filled":"0","leg":"entry","side":"sell","symbol":"BTC/USDT","type":"market"}','7b9d68d94409a578dae4d2f3804a9df498a9fb590c356082db0c9923fbaadcc3');
INSERT INTO event VALUES(14,1800014400.0,'alert_working','a00000000000000002',NULL,NULL,'{"action":"buy","reasons":[],"symbol":"BTCUSDT"}','8b38bf84a996846c8f5246dc3e771909ff1b5627127c241d0f7e460f79205f6e');
INSERT INTO event VALUES(15,1800014400.0,'order_sending','a00000000000000002','qskxmm7fgatntz3dco','paper','{"amount":"2","attempt":1,"client_order_id":"qskxmm7fgatntz3dco","filled":"0","leg":"entry","send_by":1800014405.0,"side":"sell","symbol":"BTC/USDT","type":"market"}','df59a11195e50063c314fbf2992086300237613ad9cc8b74dfe3b521f8218ce3');
INSERT INTO event VALUES(16,1800014400.0,'order_partial','a00000000000000002','qskxmm7fgatntz3dco','paper','{"amount":"2","attempt":1,"average":"101","client_order_id":"qskxmm7fgatntz3dco","exchange_order_id":"Xtz3dco","filled":"0.25","leg":"entry","send_by":1800014405.0,"side":"sell","symbol":"BTC/USDT","type":"market"}','a888f6e7b8e50faf8e394b5a2f27b282fa5fa2d49e8c502c899b8725e8742730');
INSERT INTO event VALUES(17,1800014400.0,'fill','a00000000000000002','qskxmm7fgatntz3dco','paper','{"amount":"0.25","client_order_id":"qskxmm7fgatntz3dco","exchange_order_id":"Xtz3dco","fee":"0","fee_currency":null,"filled":"0.25","leg":"entry","position":"0.25","price":"101","realized":"0.125","side":"sell","symbol":"BTC/USDT","trade_id":"qskxmm7fgatntz3dco:0.25"}','d9d46784b59ec4c3b5f382e939fa29f28d59ba7b5dbd31cc06ce4414ffa4a048');
INSERT INTO event VALUES(18,1800014400.0,'alert_placed','a00000000000000002',NULL,NULL,'{"action":"buy","reasons":[],"symbol":"BTCUSDT"}','c77230f7eda6c8e0b2a84e5ffadcd0481c8bf71666e19c450214fbf488d92c11');
INSERT INTO event VALUES(19,1800014400.0,'alert_accepted','a00000000000000003',NULL,NULL,'{"accounts":["paper"],"action":"buy","digest":"d","source":"webhook","symbol":"BTCUSDT"}','acc45fd52bf6f10a72d4a5fc8212a8ee4feaeb1a6df80aff7ae293ba50d4f0df');
INSERT INTO event VALUES(20,1800014400.0,'intent_planned','a00000000000000003',NULL,'paper','{"orders":["qdbjpdmspo3yjsc1yn"]}','258fc93974417a95dabb45e1bbf4658fb5cac0b678617e4807c247461c149076');
INSERT INTO event VALUES(21,1800014400.0,'order_planned','a00000000000000003','qdbjpdmspo3yjsc1yn','paper','{"amount":"1","attempt":1,"client_order_id":"qdbjpdmspo3yjsc1yn","filled":"0","leg":"entry","side":"buy","symbol":"BTC/USDT","type":"market"}','328d2e476ee701789bb71f383b4e8b4d1c1000dd579b852389007451feb10124');
INSERT INTO event VALUES(22,1800014400.0,'alert_working','a00000000000000003',NULL,NULL,'{"action":"buy","reasons":[],"symbol":"BTCUSDT"}','3880a9f397e445e3bf75845b97c393edb147139f13c8f5b8b010da60c0359817');
INSERT INTO event VALUES(23,1800014400.0,'order_sending','a00000000000000003','qdbjpdmspo3yjsc1yn','paper','{"amount":"1","attempt":1,"client_order_id":"qdbjpdmspo3yjsc1yn","filled":"0","leg":"entry","send_by":1800014405.0,"side":"buy","symbol":"BTC/USDT","type":"market"}','52a66a0cb3b270e9193e84bf7691c8c393e87b8c0447aa9e546aeac99432b4d7');
INSERT INTO event VALUES(24,1800014400.0,'order_unknown','a00000000000000003','qdbjpdmspo3yjsc1yn','paper','{"amount":"1","attempt":1,"client_order_id":"qdbjpdmspo3yjsc1yn","filled":"0","leg":"entry","reason":"timeout","send_by":1800014405.0,"side":"buy","symbol":"BTC/USDT","type":"market"}','5e2e3b07467aa6f5641e6ca8f819a790299bfb86b2e298964aa0308da9caebb7');
INSERT INTO event VALUES(25,1800014400.0,'alert_accepted','a00000000000000004',NULL,NULL,'{"accounts":["paper"],"action":"buy","digest":"d","source":"webhook","symbol":"BTCUSDT"}','90e62375c5487bb36390f122a41f652bb48adba15f77b8311435cb60f116d142');
INSERT INTO event VALUES(26,1800014400.0,'intent_refused','a00000000000000004',NULL,'paper','{"code":"risk.max_open_orders","reason":"too many","symbol":"BTCUSDT"}','82f269e777829d79789718fb1f801533e3f4a942367949645920810b5b9ac83f');
INSERT INTO event VALUES(27,1800014400.0,'alert_refused','a00000000000000004',NULL,NULL,'{"action":"buy","reasons":["too many"],"symbol":"BTCUSDT"}','b73009cf3bc8523ad1441b01fbae280ac077943519b04c85ce6e0ca5b7b615b7');
INSERT INTO event VALUES(28,1800014400.0,'alert_accepted','a00000000000000005',NULL,NULL,'{"accounts":["paper"],"action":"buy","digest":"d","source":"webhook","symbol":"BTCUSDT"}','cad90dd6bdfcafec3a67830c7099a9d5fbdf84b96326aac85a96c39bdbda4291');
INSERT INTO event VALUES(29,1800014400.0,'trading_state',NULL,NULL,'paper','{"by":"test","state":"reduce"}','5c981331706f49bddf9a38affe7b17ac848f64dbcae04e54da12a0d6431c46b8');
INSERT INTO event VALUES(30,1800014400.0,'alarm',NULL,NULL,NULL,'{"code":"test","detail":"a note"}','e8f47ef2f7ba83d17ac971ee10cab45405bfcde5abe9f67e54634c71aa374837');
CREATE TRIGGER event_is_final BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER event_is_kept BEFORE DELETE ON event WHEN OLD.seq > coalesce((SELECT max(seq) FROM chain_anchor), 0)
  BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
DROP TABLE IF EXISTS fill;
CREATE TABLE fill(
  n INTEGER PRIMARY KEY,
  order_id TEXT NOT NULL REFERENCES order_(id),
  account TEXT NOT NULL,
  trade_id TEXT NOT NULL,
  time REAL NOT NULL,
  price TEXT NOT NULL,
  amount TEXT NOT NULL,
  fee TEXT NOT NULL,
  fee_currency TEXT,
  fee_quote TEXT NOT NULL, -- the fee in quote currency, 0 when that is not known
  realized TEXT NOT NULL, -- gross
  UNIQUE(account, trade_id)
) STRICT;
INSERT INTO fill VALUES(1,'qf8pf3agx9hpe0373v','paper','t1',1800014400.0,'100','0.2','0.02','USDT','0.02','0');
INSERT INTO fill VALUES(2,'qf8pf3agx9hpe0373v','paper','t2',1800014400.0,'100.8333333333333333333333333','0.3','0.03','USDT','0.03','0');
INSERT INTO fill VALUES(3,'qskxmm7fgatntz3dco','paper','qskxmm7fgatntz3dco:0.25',1800014400.0,'101','0.25','0',NULL,'0','0.125');
CREATE INDEX fill_by_order ON fill(order_id);
CREATE INDEX fill_by_time ON fill(account, time);
DROP TABLE IF EXISTS intent;
CREATE TABLE intent(
  n INTEGER PRIMARY KEY,
  alert_id TEXT NOT NULL REFERENCES alert(id),
  account TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'accepted',
  reason TEXT,
  code TEXT,
  UNIQUE(alert_id, account)
) STRICT;
INSERT INTO intent VALUES(1,'a00000000000000001','paper','planned',NULL,NULL);
INSERT INTO intent VALUES(2,'a00000000000000002','paper','planned',NULL,NULL);
INSERT INTO intent VALUES(3,'a00000000000000003','paper','planned',NULL,NULL);
INSERT INTO intent VALUES(4,'a00000000000000004','paper','refused','too many','risk.max_open_orders');
INSERT INTO intent VALUES(5,'a00000000000000005','paper','accepted',NULL,NULL);
CREATE INDEX intent_unsized ON intent(account, n) WHERE state = 'accepted';
DROP TABLE IF EXISTS order_;
CREATE TABLE order_(
  n INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  client_order_id TEXT NOT NULL UNIQUE,
  alert_id TEXT NOT NULL REFERENCES alert(id),
  account TEXT NOT NULL,
  leg TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  parent TEXT REFERENCES order_(id),
  symbol TEXT NOT NULL,
  side TEXT NOT NULL CHECK(side IN ('buy','sell')),
  type TEXT NOT NULL,
  amount TEXT NOT NULL,
  price TEXT,
  stop_price TEXT,
  trail_percent TEXT,
  time_in_force TEXT,
  post_only INTEGER NOT NULL,
  reduce_only INTEGER NOT NULL,
  leverage INTEGER,
  margin_mode TEXT,
  attached INTEGER NOT NULL,
  state TEXT NOT NULL,
  exchange_order_id TEXT,
  filled TEXT NOT NULL,
  average TEXT,
  reference_price TEXT,
  reason TEXT,
  cancel_requested INTEGER NOT NULL,
  good_until REAL NOT NULL,
  not_before REAL NOT NULL,
  send_by REAL,
  created_at REAL NOT NULL,
  updated_at REAL NOT NULL
) STRICT;
INSERT INTO order_ VALUES(1,'qf8pf3agx9hpe0373v','qf8pf3agx9hpe0373v','a00000000000000001','paper','entry',1,NULL,'BTC/USDT','buy','market','0.5',NULL,NULL,NULL,NULL,0,0,NULL,NULL,0,'filled','Xe0373v','0.5','100.5','100',NULL,0,1800014700.0,0.0,1800014405.0,1800014400.0,1800014401.0);
INSERT INTO order_ VALUES(2,'qbcn8cn3td8wgxy1zq','qbcn8cn3td8wgxy1zq','a00000000000000001','paper','stop_loss',1,'qf8pf3agx9hpe0373v','BTC/USDT','sell','stop','0.5',NULL,'90',NULL,NULL,0,0,NULL,NULL,0,'planned',NULL,'0',NULL,'100',NULL,0,1800014700.0,9e999,NULL,1800014400.0,1800014400.0);
INSERT INTO order_ VALUES(3,'qskxmm7fgatntz3dco','qskxmm7fgatntz3dco','a00000000000000002','paper','entry',1,NULL,'BTC/USDT','sell','market','2',NULL,NULL,NULL,NULL,0,0,NULL,NULL,0,'partial','Xtz3dco','0.25','101','100',NULL,0,1800014700.0,0.0,1800014405.0,1800014400.0,1800014402.0);
INSERT INTO order_ VALUES(4,'qdbjpdmspo3yjsc1yn','qdbjpdmspo3yjsc1yn','a00000000000000003','paper','entry',1,NULL,'BTC/USDT','buy','market','1',NULL,NULL,NULL,NULL,0,0,NULL,NULL,0,'unknown',NULL,'0',NULL,'100','timeout',0,1800014700.0,0.0,1800014405.0,1800014400.0,1800014403.0);
CREATE INDEX order_by_account ON order_(account, n);
CREATE INDEX order_by_alert ON order_(alert_id);
CREATE INDEX order_by_exchange_id ON order_(exchange_order_id) WHERE exchange_order_id IS NOT NULL;
CREATE INDEX order_by_parent ON order_(parent) WHERE parent IS NOT NULL;
CREATE INDEX order_by_state ON order_(state, n);
CREATE TRIGGER order_is_kept BEFORE DELETE ON order_ BEGIN SELECT RAISE(ABORT, 'orders are kept'); END;
CREATE TRIGGER order_starts_planned BEFORE INSERT ON order_ WHEN NEW.state <> 'planned'
  BEGIN SELECT RAISE(ABORT, 'an order starts as planned'); END;
CREATE TRIGGER order_transition BEFORE UPDATE OF state ON order_
  WHEN NEW.state <> OLD.state AND NOT ((OLD.state = 'planned' AND NEW.state IN ('sending','canceled','refused')) OR (OLD.state = 'sending' AND NEW.state IN ('planned','unknown','open','partial','filled','canceled','rejected','expired','refused')) OR (OLD.state = 'unknown' AND NEW.state IN ('planned','open','partial','filled','canceled','rejected','expired','refused')) OR (OLD.state = 'open' AND NEW.state IN ('partial','filled','canceled','rejected','expired')) OR (OLD.state = 'partial' AND NEW.state IN ('filled','canceled','expired')) OR (OLD.state = 'canceled' AND NEW.state IN ('filled')) OR (OLD.state = 'expired' AND NEW.state IN ('filled')))
  BEGIN SELECT RAISE(ABORT, 'illegal order transition'); END;
CREATE INDEX order_unfinished ON order_(account, n) WHERE state IN ('planned','sending','unknown','open','partial');
DROP TABLE IF EXISTS position;
CREATE TABLE position(
  account TEXT NOT NULL,
  symbol TEXT NOT NULL,
  amount TEXT NOT NULL,
  average TEXT NOT NULL,
  realized TEXT NOT NULL,
  fees TEXT NOT NULL,
  updated_at REAL NOT NULL,
  PRIMARY KEY(account, symbol)
) STRICT, WITHOUT ROWID;
INSERT INTO position VALUES('paper','BTC/USDT','0.25','100.5','0.125','0.05',1800014402.0);
DROP TABLE IF EXISTS trading;
CREATE TABLE trading(
  account TEXT PRIMARY KEY,
  state TEXT NOT NULL,
  by TEXT NOT NULL,
  at REAL NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO trading VALUES('paper','reduce','test',1800014404.0);
DROP VIEW IF EXISTS alerts;
CREATE VIEW alerts AS SELECT id, state, source, symbol, action, strategy, key, body,
  strftime('%Y-%m-%dT%H:%M:%fZ', received_at, 'unixepoch') AS received_at, strftime('%Y-%m-%dT%H:%M:%fZ', good_until, 'unixepoch') AS good_until, strftime('%Y-%m-%dT%H:%M:%fZ', updated_at, 'unixepoch') AS updated_at FROM alert;
DROP VIEW IF EXISTS orders;
CREATE VIEW orders AS SELECT id, alert_id, account, leg, attempt, parent, client_order_id, exchange_order_id,
  symbol, side, type, amount, price, stop_price, trail_percent, time_in_force, post_only, reduce_only,
  leverage, margin_mode, attached, state, filled, average, reason, cancel_requested,
  strftime('%Y-%m-%dT%H:%M:%fZ', good_until, 'unixepoch') AS good_until, strftime('%Y-%m-%dT%H:%M:%fZ', send_by, 'unixepoch') AS send_by, strftime('%Y-%m-%dT%H:%M:%fZ', created_at, 'unixepoch') AS created_at, strftime('%Y-%m-%dT%H:%M:%fZ', updated_at, 'unixepoch') AS updated_at FROM order_;
DROP VIEW IF EXISTS fills;
CREATE VIEW fills AS SELECT f.order_id, o.alert_id, f.account, o.symbol, o.side, f.trade_id, strftime('%Y-%m-%dT%H:%M:%fZ', f.time, 'unixepoch') AS time,
  f.price, f.amount, f.fee, f.fee_currency, f.realized FROM fill f JOIN order_ o ON o.id = f.order_id;
DROP VIEW IF EXISTS positions;
CREATE VIEW positions AS SELECT account, symbol, amount, average, realized, fees, strftime('%Y-%m-%dT%H:%M:%fZ', updated_at, 'unixepoch') AS updated_at
  FROM position;
DROP VIEW IF EXISTS events;
CREATE VIEW events AS SELECT seq, strftime('%Y-%m-%dT%H:%M:%fZ', time, 'unixepoch') AS time, kind AS event, alert_id, order_id, account, data, hash
  FROM event;
pragma user_version=1;
pragma application_id=1718317873;
COMMIT TRANSACTION;
