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
INSERT INTO alert VALUES(1,'a00000000000000001','key1','d','webhook','placed','BTCUSDT','buy',NULL,'{"symbol":"BTCUSDT","amount":1.50,"odd":1E+400}','{"symbol":"BTCUSDT","action":"buy","timestamp":null,"confidence":null,"id":null,"exchange":null,"exchanges":[],"amount":1,"notional":null,"percent":null,"sizing":null,"order_type":"market","price":null,"stop_price":null,"trail_percent":null,"take_profit":[],"stop_loss":null,"time_in_force":null,"post_only":false,"reduce_only":false,"leverage":null,"margin_mode":null,"market_position":null,"prev_market_position":null,"position_size":null,"position_side":null,"share":null,"max_lag":null,"strategy":null,"order_id":null,"bar_time":null,"comment":null}',1800014400.0,1800014700.0,1800014400.0);
INSERT INTO alert VALUES(2,'a00000000000000002','key2','d','webhook','placed','BTCUSDT','buy',NULL,'{"symbol":"BTCUSDT","amount":1.50,"odd":1E+400}','{"symbol":"BTCUSDT","action":"buy","timestamp":null,"confidence":null,"id":null,"exchange":null,"exchanges":[],"amount":1,"notional":null,"percent":null,"sizing":null,"order_type":"market","price":null,"stop_price":null,"trail_percent":null,"take_profit":[],"stop_loss":null,"time_in_force":null,"post_only":false,"reduce_only":false,"leverage":null,"margin_mode":null,"market_position":null,"prev_market_position":null,"position_size":null,"position_side":null,"share":null,"max_lag":null,"strategy":null,"order_id":null,"bar_time":null,"comment":null}',1800014400.0,1800014700.0,1800014400.0);
INSERT INTO alert VALUES(3,'a00000000000000003','key3','d','webhook','working','BTCUSDT','buy',NULL,'{"symbol":"BTCUSDT","amount":1.50,"odd":1E+400}','{"symbol":"BTCUSDT","action":"buy","timestamp":null,"confidence":null,"id":null,"exchange":null,"exchanges":[],"amount":1,"notional":null,"percent":null,"sizing":null,"order_type":"market","price":null,"stop_price":null,"trail_percent":null,"take_profit":[],"stop_loss":null,"time_in_force":null,"post_only":false,"reduce_only":false,"leverage":null,"margin_mode":null,"market_position":null,"prev_market_position":null,"position_size":null,"position_side":null,"share":null,"max_lag":null,"strategy":null,"order_id":null,"bar_time":null,"comment":null}',1800014400.0,1800014700.0,1800014400.0);
INSERT INTO alert VALUES(4,'a00000000000000004','key4','d','webhook','refused','BTCUSDT','buy',NULL,'{"symbol":"BTCUSDT","amount":1.50,"odd":1E+400}','{"symbol":"BTCUSDT","action":"buy","timestamp":null,"confidence":null,"id":null,"exchange":null,"exchanges":[],"amount":1,"notional":null,"percent":null,"sizing":null,"order_type":"market","price":null,"stop_price":null,"trail_percent":null,"take_profit":[],"stop_loss":null,"time_in_force":null,"post_only":false,"reduce_only":false,"leverage":null,"margin_mode":null,"market_position":null,"prev_market_position":null,"position_size":null,"position_side":null,"share":null,"max_lag":null,"strategy":null,"order_id":null,"bar_time":null,"comment":null}',1800014400.0,1800014700.0,1800014400.0);
INSERT INTO alert VALUES(5,'a00000000000000005','key5','d','webhook','accepted','BTCUSDT','buy',NULL,'{"symbol":"BTCUSDT","amount":1.50,"odd":1E+400}','{"symbol":"BTCUSDT","action":"buy","timestamp":null,"confidence":null,"id":null,"exchange":null,"exchanges":[],"amount":1,"notional":null,"percent":null,"sizing":null,"order_type":"market","price":null,"stop_price":null,"trail_percent":null,"take_profit":[],"stop_loss":null,"time_in_force":null,"post_only":false,"reduce_only":false,"leverage":null,"margin_mode":null,"market_position":null,"prev_market_position":null,"position_size":null,"position_side":null,"share":null,"max_lag":null,"strategy":null,"order_id":null,"bar_time":null,"comment":null}',1800014400.0,1800014700.0,1800014400.0);
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
INSERT INTO event VALUES(1,1800014400.0,'alert_accepted','a00000000000000001',NULL,NULL,'{"accounts":["paper"],"action":"buy","digest":"d","sender":"webhook","strategy":null,"symbol":"BTCUSDT"}','2b5b73fb051513cbad86f74700642bd4e3ef0c36aa26782459ff3fb5d0907bcf');
INSERT INTO event VALUES(2,1800014400.0,'intent_planned','a00000000000000001',NULL,'paper','{"orders":["qf8pf3agx9hpe0373v","qbcn8cn3td8wgxy1zq"]}','58091069d12a009ef1ab42101714f57983394691fedf8332a4382056274302eb');
INSERT INTO event VALUES(3,1800014400.0,'order_planned','a00000000000000001','qf8pf3agx9hpe0373v','paper','{"amount":"0.5","attempt":1,"client_order_id":"qf8pf3agx9hpe0373v","filled":"0","leg":"entry","side":"buy","symbol":"BTC/USDT","type":"market"}','a2f314f941a00ac6e7d1532256f2c92f881f4dabd39e77cf9d3d5f1a798bb7bd');
INSERT INTO event VALUES(4,1800014400.0,'order_planned','a00000000000000001','qbcn8cn3td8wgxy1zq','paper','{"amount":"0.5","attempt":1,"client_order_id":"qbcn8cn3td8wgxy1zq","filled":"0","leg":"stop_loss","parent":"qf8pf3agx9hpe0373v","side":"sell","stop_price":"90","symbol":"BTC/USDT","type":"stop"}','676d3e5357233d36dd9e36d88e1447f73d2f605b0602b77cb4b66ea7dfa9f94c');
INSERT INTO event VALUES(5,1800014400.0,'alert_working','a00000000000000001',NULL,NULL,'{"action":"buy","reasons":[],"symbol":"BTCUSDT"}','67c77bbc6b883763e4b3fef78dbb3c0bae6c6d13cf30671bf309eace6d20f8c0');
INSERT INTO event VALUES(6,1800014400.0,'order_sending','a00000000000000001','qf8pf3agx9hpe0373v','paper','{"amount":"0.5","attempt":1,"client_order_id":"qf8pf3agx9hpe0373v","filled":"0","leg":"entry","send_by":1800014405.0,"side":"buy","symbol":"BTC/USDT","type":"market"}','ab5adacb57981a0bacaadd76755f56730eee78ddf4c1990717253e759fc5135c');
INSERT INTO event VALUES(7,1800014400.0,'order_filled','a00000000000000001','qf8pf3agx9hpe0373v','paper','{"amount":"0.5","attempt":1,"average":"100.5","client_order_id":"qf8pf3agx9hpe0373v","exchange_order_id":"Xe0373v","filled":"0.5","leg":"entry","send_by":1800014405.0,"side":"buy","symbol":"BTC/USDT","type":"market"}','2b5221cdfe2761e2a46c8aa7469c6b9556eef61b5684d5e2772231595f426d70');
INSERT INTO event VALUES(8,1800014400.0,'fill','a00000000000000001','qf8pf3agx9hpe0373v','paper','{"amount":"0.2","client_order_id":"qf8pf3agx9hpe0373v","exchange_order_id":"Xe0373v","fee":"0.02","fee_currency":"USDT","filled":"0.5","leg":"entry","position":"0.2","price":"100","realized":"0","side":"buy","symbol":"BTC/USDT","trade_id":"t1"}','2c8ad14ed6fb9a038016dfe2c1ce30505c7a6f38a532428da1356af95e2d136c');
INSERT INTO event VALUES(9,1800014400.0,'fill','a00000000000000001','qf8pf3agx9hpe0373v','paper','{"amount":"0.3","client_order_id":"qf8pf3agx9hpe0373v","exchange_order_id":"Xe0373v","fee":"0.03","fee_currency":"USDT","filled":"0.5","leg":"entry","position":"0.5","price":"100.8333333333333333333333333","realized":"0","side":"buy","symbol":"BTC/USDT","trade_id":"t2"}','61893d7a9d851d1eed48016849cd31f28d5862535f2a956ffa35a6970f5a0dc0');
INSERT INTO event VALUES(10,1800014400.0,'alert_placed','a00000000000000001',NULL,NULL,'{"action":"buy","reasons":[],"symbol":"BTCUSDT"}','5e2f882adf2b974dd51afde55c63ef84f806f4f98863b52203e52b381ecc1325');
INSERT INTO event VALUES(11,1800014400.0,'alert_accepted','a00000000000000002',NULL,NULL,'{"accounts":["paper"],"action":"buy","digest":"d","sender":"webhook","strategy":null,"symbol":"BTCUSDT"}','024d28faeb3f5472a51749653ee4b88a966973596550a5a66f416465de0797a9');
INSERT INTO event VALUES(12,1800014400.0,'intent_planned','a00000000000000002',NULL,'paper','{"orders":["qskxmm7fgatntz3dco"]}','4ec8deb3ee2d127d6280b15ec6684ee0eebc3728d81107cfc9b6c818660edce5');
INSERT INTO event VALUES(13,1800014400.0,'order_planned','a00000000000000002','qskxmm7fgatntz3dco','paper','{"amount":"2","attempt":1,"client_order_id":"qskxmm7fgatntz3dco","filled":"0","leg":"entry","side":"sell","symbol":"BTC/USDT","type":"market"}','764b412089ac947ce8a541eb41c9adb0c7f429d07800becde7ed3e4e2544cb92');
INSERT INTO event VALUES(14,1800014400.0,'alert_working','a00000000000000002',NULL,NULL,'{"action":"buy","reasons":[],"symbol":"BTCUSDT"}','360ce582c568760ea747f40ce4eb9310079db1e913159eb2bb387c54b5084b6c');
INSERT INTO event VALUES(15,1800014400.0,'order_sending','a00000000000000002','qskxmm7fgatntz3dco','paper','{"amount":"2","attempt":1,"client_order_id":"qskxmm7fgatntz3dco","filled":"0","leg":"entry","send_by":1800014405.0,"side":"sell","symbol":"BTC/USDT","type":"market"}','48e3880eb8179414ad2d99569dac0f357a3cb069b98197d60a344f502b05dde3');
INSERT INTO event VALUES(16,1800014400.0,'order_partial','a00000000000000002','qskxmm7fgatntz3dco','paper','{"amount":"2","attempt":1,"average":"101","client_order_id":"qskxmm7fgatntz3dco","exchange_order_id":"Xtz3dco","filled":"0.25","leg":"entry","send_by":1800014405.0,"side":"sell","symbol":"BTC/USDT","type":"market"}','8924dd71deb7119d152964530b779f7380e87add6e713ed1f719e06823ea7f0f');
INSERT INTO event VALUES(17,1800014400.0,'fill','a00000000000000002','qskxmm7fgatntz3dco','paper','{"amount":"0.25","client_order_id":"qskxmm7fgatntz3dco","exchange_order_id":"Xtz3dco","fee":"0","fee_currency":null,"filled":"0.25","leg":"entry","position":"0.25","price":"101","realized":"0.125","side":"sell","symbol":"BTC/USDT","trade_id":"qskxmm7fgatntz3dco:0.25"}','7cf8e274731034a0b57d292b21924b26017c3efc271a4a6313aee545f6fcbba0');
INSERT INTO event VALUES(18,1800014400.0,'alert_placed','a00000000000000002',NULL,NULL,'{"action":"buy","reasons":[],"symbol":"BTCUSDT"}','fc7ca61d5c3dc4c817ad87b512364855be2787c851e26254e889edbc1e94e6c4');
INSERT INTO event VALUES(19,1800014400.0,'alert_accepted','a00000000000000003',NULL,NULL,'{"accounts":["paper"],"action":"buy","digest":"d","sender":"webhook","strategy":null,"symbol":"BTCUSDT"}','e6a31862b05e9a8b05e42b0f465ce9c48b7d6bb236221a95fc92f20bb3b60365');
INSERT INTO event VALUES(20,1800014400.0,'intent_planned','a00000000000000003',NULL,'paper','{"orders":["qdbjpdmspo3yjsc1yn"]}','272898127eec2155fea61d1caf036770396fd981a85f3de5b96a0022e744c0fb');
INSERT INTO event VALUES(21,1800014400.0,'order_planned','a00000000000000003','qdbjpdmspo3yjsc1yn','paper','{"amount":"1","attempt":1,"client_order_id":"qdbjpdmspo3yjsc1yn","filled":"0","leg":"entry","side":"buy","symbol":"BTC/USDT","type":"market"}','f0f8be5304fd76bac2d2b7cf442ab67bf81305a779cab698ab1e781ca4285e8e');
INSERT INTO event VALUES(22,1800014400.0,'alert_working','a00000000000000003',NULL,NULL,'{"action":"buy","reasons":[],"symbol":"BTCUSDT"}','241d1c4404318b26ae9e887cdc72467aa5f5447eb14c17b64ba63d852aa3db11');
INSERT INTO event VALUES(23,1800014400.0,'order_sending','a00000000000000003','qdbjpdmspo3yjsc1yn','paper','{"amount":"1","attempt":1,"client_order_id":"qdbjpdmspo3yjsc1yn","filled":"0","leg":"entry","send_by":1800014405.0,"side":"buy","symbol":"BTC/USDT","type":"market"}','220fba4f9a3e4d6ba480ce614348ffc1d0823ad7f7afee1699ce0f8a904d1294');
INSERT INTO event VALUES(24,1800014400.0,'order_unknown','a00000000000000003','qdbjpdmspo3yjsc1yn','paper','{"amount":"1","attempt":1,"client_order_id":"qdbjpdmspo3yjsc1yn","filled":"0","leg":"entry","reason":"timeout","send_by":1800014405.0,"side":"buy","symbol":"BTC/USDT","type":"market"}','d6da009c3e3f8969d4422954bc16afe300065668a9da331631934e658ce04bbb');
INSERT INTO event VALUES(25,1800014400.0,'alert_accepted','a00000000000000004',NULL,NULL,'{"accounts":["paper"],"action":"buy","digest":"d","sender":"webhook","strategy":null,"symbol":"BTCUSDT"}','b12e4507fe4ca0aba146cb93b9c655bd55c4c3023910888b65c5e21eeee87cc8');
INSERT INTO event VALUES(26,1800014400.0,'intent_refused','a00000000000000004',NULL,'paper','{"code":"risk.max_open_orders","reason":"too many","symbol":"BTCUSDT"}','82e1a5c887e0954537c51e379688cb3f314b50f434a95d03390e81511da81442');
INSERT INTO event VALUES(27,1800014400.0,'alert_refused','a00000000000000004',NULL,NULL,'{"action":"buy","reasons":["too many"],"symbol":"BTCUSDT"}','6774f9cded4c9efbd8eb221622a9a202a855beab6df9aa8b72fac0f0638c0f65');
INSERT INTO event VALUES(28,1800014400.0,'alert_accepted','a00000000000000005',NULL,NULL,'{"accounts":["paper"],"action":"buy","digest":"d","sender":"webhook","strategy":null,"symbol":"BTCUSDT"}','6860208540268605fa94b4eae274745b3eefe1ee98ea0c2b45ef89f82c1fae01');
INSERT INTO event VALUES(29,1800014400.0,'trading_state',NULL,NULL,'paper','{"by":"test","state":"reduce"}','1b1b19a966494f3c5951de62cc5f2f95f1385216dbdc9ecfe4e18f722d1f12b2');
INSERT INTO event VALUES(30,1800014400.0,'alarm',NULL,NULL,NULL,'{"code":"test","detail":"a note"}','d4192a8dbe5d27772a36e63bba5804696867337cdb13cfd88bf4b50ff1769abf');
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
, strategy TEXT NOT NULL DEFAULT '') STRICT;
INSERT INTO order_ VALUES(1,'qf8pf3agx9hpe0373v','qf8pf3agx9hpe0373v','a00000000000000001','paper','entry',1,NULL,'BTC/USDT','buy','market','0.5',NULL,NULL,NULL,NULL,0,0,NULL,NULL,0,'filled','Xe0373v','0.5','100.5','100',NULL,0,1800014700.0,0.0,1800014405.0,1800014400.0,1800014401.0,'trend');
INSERT INTO order_ VALUES(2,'qbcn8cn3td8wgxy1zq','qbcn8cn3td8wgxy1zq','a00000000000000001','paper','stop_loss',1,'qf8pf3agx9hpe0373v','BTC/USDT','sell','stop','0.5',NULL,'90',NULL,NULL,0,0,NULL,NULL,0,'planned',NULL,'0',NULL,'100',NULL,0,1800014700.0,9e999,NULL,1800014400.0,1800014400.0,'trend');
INSERT INTO order_ VALUES(3,'qskxmm7fgatntz3dco','qskxmm7fgatntz3dco','a00000000000000002','paper','entry',1,NULL,'BTC/USDT','sell','market','2',NULL,NULL,NULL,NULL,0,0,NULL,NULL,0,'partial','Xtz3dco','0.25','101','100',NULL,0,1800014700.0,0.0,1800014405.0,1800014400.0,1800014402.0,'');
INSERT INTO order_ VALUES(4,'qdbjpdmspo3yjsc1yn','qdbjpdmspo3yjsc1yn','a00000000000000003','paper','entry',1,NULL,'BTC/USDT','buy','market','1',NULL,NULL,NULL,NULL,0,0,NULL,NULL,0,'unknown',NULL,'0',NULL,'100','timeout',0,1800014700.0,0.0,1800014405.0,1800014400.0,1800014403.0,'');
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
DROP TABLE IF EXISTS strategy_position;
CREATE TABLE strategy_position(
  account TEXT NOT NULL,
  strategy TEXT NOT NULL,
  symbol TEXT NOT NULL,
  amount TEXT NOT NULL,
  average TEXT NOT NULL,
  realized TEXT NOT NULL,
  fees TEXT NOT NULL,
  day INTEGER NOT NULL,
  net_before TEXT NOT NULL,
  PRIMARY KEY(account, strategy, symbol)
) STRICT, WITHOUT ROWID;
INSERT INTO strategy_position VALUES('paper','trend','BTC/USDT','0.5','100.5','0','0.05',20833,'0');
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
  leverage, margin_mode, attached, strategy, state, filled, average, reason, cancel_requested,
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
pragma user_version=2;
pragma application_id=1718317873;
COMMIT TRANSACTION;
