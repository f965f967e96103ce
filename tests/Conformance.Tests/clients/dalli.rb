# frozen_string_literal: true

# dalli.rb binary|meta HOST:PORT HOST:PORT: what Ruby programs do with Debian's ruby-dalli. Exit code 0 when all is as it must be.
# Dalli speaks binary until version 4 and meta from 3.2 on; before version 4 its meta reads values line by line and cannot have line ends in them.

require 'dalli'
require 'securerandom'
require 'set'

WORKERS = 4
ROUNDS = 25

PROTOCOL, FIRST, SECOND = ARGV
PREFIX = "dalli:#{PROTOCOL}:#{SecureRandom.hex(4)}:"
Dalli.logger.level = Logger::ERROR

def connect(*servers, **options)
  options[:protocol] = PROTOCOL.to_sym if (3.2...5).cover?(Dalli::VERSION.to_f)
  Dalli::Client.new(servers, { socket_timeout: 20, socket_failure_delay: 0 }.merge(options))
end

def key(name)
  PREFIX + name.to_s
end

def same(expected, actual, what)
  raise "#{what}: expected #{expected.inspect[0, 300]}, got #{actual.inspect[0, 300]}" unless expected == actual
end

def stored(actual, what)
  raise "#{what}: #{actual.inspect}" unless actual
end

def fails(error, what)
  yield
rescue error
  nil
else
  raise "#{what}: no #{error}"
end

def wait_until(what)
  deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + 10
  until yield
    raise "still not: #{what}" if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline

    sleep 0.05
  end
end

# Set first, looked at when the other steps are through. A life of one second may end with the clock's next tick: hence two.
def short_lives_begin(cache)
  stored(cache.set(key(:touched), 'x', 2), 'set')
  stored(cache.set(key(:fetched), 'x', 2), 'set')
  same(true, cache.touch(key(:touched), 1000), 'touch')
  same('x', cache.gat(key(:fetched), 1000), 'gat')
  stored(cache.set(key(:short), 'x', 2), 'set')
  same(nil, cache.touch(key(:absent), 1000), 'touch of an absent key')
  same(nil, cache.gat(key(:absent), 1000), 'gat of an absent key')
  stored(cache.set(key(:absolute), 'x', Time.now.to_i + 1000), 'set with an absolute time')
end

def values_keep_their_types(cache)
  values = { text: 'Grüße ✓', empty: '', integer: -42, large: 2**80, float: 1.25, symbol: :word, true: true, list: [1, 'two', nil, { three: 3.5 }],
             bytes: (0..255).to_a.pack('C*'), lines: "END\r\nVALUE x 0 1\r\n" }
  values.each { |name, value| stored(cache.set(key(name), value), "set of #{name}") }
  values.each { |name, value| same(value, cache.get(key(name)), "get of #{name}") }
  stored(cache.set(key('with a space'), 'x'), 'set of a key with a space') if PROTOCOL == 'binary'
  same('computed', cache.fetch(key(:fetch), 1000) { 'computed' }, 'fetch')
  same('computed', cache.fetch(key(:fetch), 1000) { raise 'asked again' }, 'fetch')
end

def sizes(cache)
  [0, 1, 2047, 2048, 16_384, 100 * 1024, 1_048_000].each do |size|
    value = SecureRandom.bytes(size)
    stored(cache.set(key("size#{size}"), value, nil, raw: true), "set of #{size} bytes")
    same(value, cache.get(key("size#{size}"), raw: true), "get of #{size} bytes") if size.zero?
  end
  raw = connect(FIRST, serializer: Raw)
  [1, 2048, 100 * 1024, 1_048_000].each do |size|
    value = SecureRandom.bytes(size)
    stored(raw.set(key("raw#{size}"), value), "set of #{size} bytes")
    same(value, raw.get(key("raw#{size}")), "get of #{size} bytes")
  end
  stored(cache.set(key(:limit), 'old'), 'set')
  fails(Dalli::ValueOverMaxSize, 'the client knows the limit') { cache.set(key(:limit), SecureRandom.bytes(1_048_577)) }
  same('old', cache.get(key(:limit)), 'the server was not asked')
  large = connect(FIRST, value_max_bytes: 1 << 26, compress: false)
  fails(Dalli::DalliError, 'set beyond the limit') { large.set(key(:limit), SecureRandom.bytes(1_048_577)) }
  same(nil, large.get(key(:limit)), 'the old value is gone')
  stored(large.set(key(:limit), 'new'), 'the connection goes on')
end

# Strings as they are, without Marshal.
module Raw
  def self.dump(value) = value

  def self.load(value) = value
end

def compression(cache)
  text = 'a line that compresses well; ' * 100_000
  stored(cache.set(key(:text), text), 'set of 2.9 MB that compress')
  same(text, cache.get(key(:text)), 'get')
  same({ key(:text) => text }, cache.get_multi([key(:text), key(:absent)]), 'get_multi')
end

def add_replace_append_prepend_delete(cache)
  same(nil, cache.get(key(:a)), 'before')
  cache.replace(key(:a), 'x', nil, raw: true)
  same(nil, cache.get(key(:a)), 'replace of an absent key')
  stored(cache.add(key(:a), 'one', nil, raw: true), 'add')
  same(false, cache.add(key(:a), 'two', nil, raw: true), 'add of a present key')
  stored(cache.replace(key(:a), 'three', nil, raw: true), 'replace')
  same(true, cache.append(key(:a), '-after'), 'append')
  same(true, cache.prepend(key(:a), 'before-'), 'prepend')
  same(false, cache.append(key(:absent), 'x'), 'append to an absent key')
  same('before-three-after', cache.get(key(:a)), 'get')
  same(true, cache.delete(key(:a)), 'delete')
  stored(!cache.delete(key(:a)), 'delete of an absent key')
  same(nil, cache.get(key(:a)), 'after')
end

def many_keys_at_once(cache)
  values = (0...300).to_h { |number| [key("many#{number}"), "value #{number} " * (number % 50)] }
  cache.multi { values.each { |name, value| cache.set(name, value, 1000) } }
  same(values, cache.get_multi(values.keys + [key(:absent1), key(:absent2)]), 'get_multi')
  same({}, cache.get_multi([key(:absent1)]), 'get_multi of absent keys')
  cache.multi do
    values.keys.first(100).each { |name| cache.delete(name) }
    cache.delete(key(:absent1))
    cache.add(values.keys.last, 'not added')
  end
  same(values.drop(100).to_h, cache.get_multi(values.keys), 'get_multi after quiet deletes')
end

def cas(cache)
  stored(cache.set(key(:cas), 'one'), 'set')
  value, token = cache.get_cas(key(:cas))
  same('one', value, 'get_cas')
  stored(cache.set_cas(key(:cas), 'two', token), 'set_cas')
  same(false, cache.set_cas(key(:cas), 'three', token), 'set_cas with a stale token')
  same(false, cache.delete_cas(key(:cas), token), 'delete_cas with a stale token')
  same(nil, cache.cas(key(:absent)) { 'x' }, 'cas of an absent key')
  stored(cache.cas(key(:cas)) { |found| "#{found}!" }, 'cas')
  same('two!', cache.get(key(:cas)), 'get')
  found = cache.get_multi_cas(key(:cas), key(:absent))
  same(['two!'], found.values.map(&:first), 'get_multi_cas')
  stored(cache.replace_cas(key(:cas), 'four', found[key(:cas)].last), 'replace_cas')
  _, token = cache.get_cas(key(:cas))
  same(true, cache.delete_cas(key(:cas), token), 'delete_cas')
end

def processes_add_to_one_number_with_cas(cache)
  stored(cache.set(key(:total), 0), 'set')
  children = (1..WORKERS).map do
    fork do
      own = connect(FIRST)
      ROUNDS.times { nil until own.cas(key(:total)) { |number| number + 1 } }
      exit!(0)
    end
  end
  children.each { |child| Process.wait(child) }
  same(WORKERS * ROUNDS, cache.get(key(:total)), 'the total')
end

def counters(cache)
  same(nil, cache.incr(key(:n)), 'incr of an absent key')
  same(10, cache.incr(key(:n), 5, 1000, 10), 'incr with a first value')
  same(15, cache.incr(key(:n), 5, 1000, 10), 'incr')
  same(9, cache.decr(key(:n), 6), 'decr')
  same(0, cache.decr(key(:n), 1000), 'decr stops at 0')
  same(50, cache.decr(key(:down), 1, 1000, 50), 'decr with a first value')
  same(49, cache.decr(key(:down), 1, 1000, 50), 'decr')
  stored(cache.set(key(:raw), '18446744073709551615', nil, raw: true), 'set')
  same(0, cache.incr(key(:raw), 1), 'incr wraps')
  stored(cache.set(key(:word), 'word', nil, raw: true), 'set')
  fails(Dalli::DalliError, 'incr of a word') { cache.incr(key(:word)) }
  same('word', cache.get(key(:word)), 'the connection goes on')
end

def bad_keys(cache)
  longest = key('k' * 250)[0, 250]
  stored(cache.set(longest, 'x'), 'set of the longest key')
  same('x', cache.get(longest), 'get of the longest key')
  stored(cache.set("#{longest}k", 'y'), 'a longer key is shortened by the client')
  same('y', cache.get("#{longest}k"), 'get')
  same('x', cache.get(longest), 'get of the longest key')
  fails(ArgumentError, 'an empty key') { cache.get('') }
end

def statistics_and_version(cache)
  statistics = cache.stats[FIRST]
  %w[pid uptime time version curr_items total_items get_hits get_misses bytes limit_maxbytes evictions curr_connections threads].each do |name|
    stored(statistics[name], "#{name} in #{statistics}")
  end
  stored(cache.stats(:items)[FIRST].keys.any? { |name| name.match?(/\Aitems:\d+:number\z/) }, 'items')
  stored(cache.stats(:slabs)[FIRST].key?('active_slabs'), 'slabs')
  stored(cache.stats(:settings)[FIRST].key?('maxbytes'), 'settings')
  stored(cache.version[FIRST].match?(/\A\d+\.\d+\.\d+/), cache.version.inspect)
  stored(cache.reset_stats, 'reset_stats')
end

def two_servers(_cache)
  both = connect(FIRST, SECOND)
  values = (0...200).to_h { |number| [key("two#{number}"), "value #{number}"] }
  values.each { |name, value| stored(both.set(name, value), 'set') }
  same(values, both.get_multi(values.keys), 'get_multi')
  found = [FIRST, SECOND].map { |server| connect(server).get_multi(values.keys) }
  stored(found.none?(&:empty?), 'both servers are in use')
  same(values, found[0].merge(found[1]), 'what the servers hold together') if FIRST != SECOND
  same(2, both.stats.size, 'statistics of both')
end

def short_lives_end(cache)
  wait_until('the item expires') { cache.get(key(:short)).nil? }
  same(%w[x x x], %i[touched fetched absolute].map { |name| cache.get(key(name)) }, 'the others live on')
  stored(cache.add(key(:short), 'again'), 'add after expiry')
end

def flush(cache)
  cache.flush
  same(nil, cache.get(key(:touched)), 'after flush')
  stored(cache.set(key(:after), 'y'), 'set')
  same('y', cache.get(key(:after)), 'straight after flush')
end

cache = connect(FIRST)
%i[short_lives_begin values_keep_their_types sizes compression add_replace_append_prepend_delete many_keys_at_once cas processes_add_to_one_number_with_cas
   counters bad_keys statistics_and_version two_servers short_lives_end flush].each do |step|
  send(step, cache)
rescue StandardError => e
  puts "dalli #{PROTOCOL}, #{step}: #{e.full_message(highlight: false)}"
  exit 1
end
puts "dalli #{PROTOCOL}: right"
