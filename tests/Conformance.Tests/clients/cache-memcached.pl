#!/usr/bin/perl
# cache-memcached.pl plain|fast HOST:PORT HOST:PORT: what Perl programs do with Cache::Memcached (plain Perl) and Cache::Memcached::Fast (C; it also has
# cas, touch, gat and lists of everything). Exit code 0 when all is as it must be.

use strict;
use warnings;
use utf8;

use IO::Socket::INET;
use Time::HiRes qw(time sleep);

use constant WORKERS => 4;
use constant ROUNDS  => 25;

my ($client, $first, $second) = @ARGV;
my $fast = $client eq 'fast';
my $class = $fast ? 'Cache::Memcached::Fast' : 'Cache::Memcached';
eval "require $class; 1" or die $@;
# The worker processes need other keys than their parent only where they say so.
my $prefix = sprintf 'perl:%s:%d%06d:', $client, $$, rand 1e6;
my $cache;

sub connected {
    my ($servers, %more) = @_;
    return Cache::Memcached::Fast->new({servers => $servers, connect_timeout => 10, io_timeout => 20, %more}) if $fast;
    my $made = Cache::Memcached->new({servers => $servers, connect_timeout => 10, select_timeout => 20, %more});
    return $made;
}

sub key { return $prefix . $_[0] }

sub shown {
    my ($value) = @_;
    return defined $value ? ref $value eq 'ARRAY' ? '[' . join(', ', map { shown($_) } @$value) . ']'
        : ref $value eq 'HASH' ? '{' . join(', ', map { "$_: " . shown($value->{$_}) } sort keys %$value) . '}' : "'$value'" : 'undef';
}

sub same {
    my ($expected, $actual, $what) = @_;
    my ($wanted, $found) = (shown($expected), shown($actual));
    die sprintf "%s: expected %.300s (%d), got %.300s (%d)\n", $what, $wanted, length $wanted, $found, length $found if $wanted ne $found;
}

sub yes { my ($value, $what) = @_; die "$what: " . shown($value) . "\n" unless $value }

sub no_answer { my ($value, $what) = @_; die "$what: " . shown($value) . "\n" if $value }

sub noise {
    my ($size) = @_;
    open my $random, '<:raw', '/dev/urandom' or die $!;
    my $bytes;
    read $random, $bytes, $size;
    return $bytes;
}

sub wait_until {
    my ($condition, $what) = @_;
    my $deadline = time + 10;
    until ($condition->()) {
        die "still not: $what\n" if time > $deadline;
        sleep 0.05;
    }
}

# One command's first line, past the library.
sub raw_line {
    my ($line) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => $first, Timeout => 10) or die "connect: $!";
    print $socket "$line\r\n";
    return scalar <$socket>;
}

my @steps = (
    'short lives begin' => sub {
        yes($cache->set(key('long'), 'x', 1000), 'set');
        yes($cache->set(key('absolute'), 'x', int(time) + 1000), 'set with an absolute time');
        yes($cache->set(key('past'), 'x', int(time) - 1000), 'set with a time in the past');
        same(undef, scalar $cache->get(key('past')), 'a time in the past');
        # A life of one second may end with the clock's next tick: hence two.
        return yes($cache->set(key('short'), 'x', 2), 'set') unless $fast;
        yes($cache->set(key("touched$_"), 'x', 2), 'set') for 1 .. 4;
        yes($cache->touch(key('touched1'), 1000), 'touch');
        no_answer(scalar $cache->touch(key('absent'), 1000), 'touch of an absent key');
        same('x', scalar $cache->gat(1000, key('touched2')), 'gat');
        same('x', $cache->gats(1000, key('touched3'))->[1], 'gats');
        same({key('touched4') => 'x'}, $cache->gat_multi(1000, key('touched4'), key('absent')), 'gat_multi');
        yes($cache->set(key('short'), 'x', 2), 'set');
    },
    'values' => sub {
        my $all = join '', map { chr } 0 .. 255;
        my %values = (text => 'plain', empty => '', zero => 0, bytes => $all, lines => "END\r\nVALUE x 0 1\r\n", list => [1, 'two', undef, {three => 3.5}],
            hash => {a => {b => [1, 2]}});
        yes($cache->set(key($_), $values{$_}), "set of $_") for sort keys %values;
        same($values{$_}, $cache->get(key($_)), "get of $_") for sort keys %values;
        if ($fast) {
            my $unicode = connected([$first], utf8 => 1);
            yes($unicode->set(key('utf8'), 'Grüße ✓'), 'set of text');
            same('Grüße ✓', $unicode->get(key('utf8')), 'get of text');
        }
        my $spaced = connected([$first], namespace => key('space:'));
        yes($spaced->set('a', 'in a namespace'), 'set');
        same('in a namespace', $spaced->get('a'), 'get');
        same('in a namespace', $cache->get(key('space:a')), 'get by the whole key');
    },
    'sizes' => sub {
        for my $size (0, 1, 2047, 2048, 16384, 100 * 1024, 1048000) {
            my $value = noise($size);
            yes($cache->set(key("size$size"), $value), "set of $size bytes");
            yes($cache->get(key("size$size")) eq $value, "get of $size bytes");
        }
        my $large = $fast ? connected([$first], max_size => 1 << 26) : $cache;
        yes($large->set(key('limit'), 'old'), 'set');
        no_answer(scalar $large->set(key('limit'), noise(1048576)), 'set beyond the limit');
        same(undef, scalar $large->get(key('limit')), 'the old value is gone');
        yes($large->set(key('limit'), 'new'), 'the next set');
        same('new', scalar $large->get(key('limit')), 'the next get');
    },
    'compression' => sub {
        my $squeezing = connected([$first], compress_threshold => 10_000);
        my $text = 'a line that compresses well; ' x 100_000;
        yes($squeezing->set(key('text'), $text), 'set of 2.9 MB that compress');
        yes($squeezing->get(key('text')) eq $text, 'get');
        my (undef, undef, undef, $length) = split ' ', raw_line('get ' . key('text'));
        yes($length > 0 && $length < 50_000, "stored $length bytes");
    },
    'add, replace, append, prepend, delete' => sub {
        my $key = key('a');
        same(undef, scalar $cache->get($key), 'before');
        no_answer(scalar $cache->replace($key, 'x'), 'replace of an absent key');
        yes($cache->add($key, 'one'), 'add');
        no_answer(scalar $cache->add($key, 'two'), 'add of a present key');
        yes($cache->replace($key, 'three'), 'replace');
        yes($cache->append($key, '-after'), 'append');
        yes($cache->prepend($key, 'before-'), 'prepend');
        no_answer(scalar $cache->append(key('absent'), 'x'), 'append to an absent key');
        same('before-three-after', $cache->get($key), 'get');
        yes($cache->delete($key), 'delete');
        no_answer(scalar $cache->delete($key), 'delete of an absent key');
        yes($cache->set($key, 'again'), 'set');
        yes($fast ? $cache->delete($key) : $cache->delete($key, 0), 'delete with the old protocol\'s 0');
        same(undef, scalar $cache->get($key), 'after');
    },
    'many keys at once' => sub {
        my %values = map { key("many$_") => "value $_ " x ($_ % 50) } 0 .. 299;
        my @keys = sort keys %values;
        if ($fast) {
            same([(1) x 300], [$cache->set_multi(map { [$_, $values{$_}, 1000] } @keys)], 'set_multi');
        } else {
            yes($cache->set($_, $values{$_}, 1000), 'set') for @keys;
        }
        same(\%values, $cache->get_multi(@keys, key('absent1'), key('absent2')), 'get_multi');
        same({}, $cache->get_multi(key('absent1')), 'get_multi of absent keys');
        return unless $fast;
        same({$keys[0] => 1, $keys[1] => 1, key('absent1') => ''}, scalar $cache->delete_multi(@keys[0, 1], key('absent1')), 'delete_multi');
        my $tokens = $cache->gets_multi(@keys[2 .. 11]);
        same([('1') x 10], [$cache->cas_multi(map { [$_, $tokens->{$_}[0], 'new'] } @keys[2 .. 11])], 'cas_multi');
        same([1, '', 1], [$cache->touch_multi([$keys[2], 1000], [key('absent1'), 1000], [$keys[3], 1000])], 'touch_multi');
        # Without waiting for replies.
        my $hurried = connected([$first], nowait => 1);
        $hurried->set(key("quiet$_"), "quiet $_") for 0 .. 199;
        $hurried->delete(key("quiet$_ ") =~ s/ //r) for 0 .. 99;
        $hurried->nowait_push;
        same({map { key("quiet$_") => "quiet $_" } 100 .. 199}, $cache->get_multi(map { key("quiet$_") } 0 .. 199), 'nowait');
    },
    'cas' => sub {
        return unless $fast;
        my $key = key('cas');
        yes($cache->set($key, 'one'), 'set');
        my ($token, $value) = @{$cache->gets($key)};
        same('one', $value, 'gets');
        yes($cache->cas($key, $token, 'two'), 'cas');
        same('', scalar $cache->cas($key, $token, 'three'), 'cas with a stale token');
        same('', scalar $cache->cas(key('absent'), $token, 'x'), 'cas of an absent key');
        same('two', $cache->get($key), 'get');
    },
    'processes add to one number' => sub {
        yes($cache->set(key('total'), 0), 'set');
        my @children;
        for my $worker (1 .. WORKERS) {
            my $child = fork // die "fork: $!";
            if ($child == 0) {
                my $right = eval {
                    my $own = connected([$first]);
                    # A process that was forked must not use its parent's connections.
                    $own->disconnect_all;
                    for (1 .. ROUNDS) {
                        if ($fast) {
                            my $found;
                            do { $found = $own->gets(key('total')) } until $own->cas(key('total'), $found->[0], $found->[1] + 1);
                        } else {
                            yes($own->incr(key('total')), 'incr');
                        }
                    }
                    1;
                };
                print $@ unless $right;
                require POSIX;
                POSIX::_exit($right ? 0 : 1);
            }
            push @children, $child;
        }
        for my $child (@children) {
            waitpid $child, 0;
            same(0, $?, 'a worker');
        }
        same(WORKERS * ROUNDS, $cache->get(key('total')), 'the total');
    },
    'counters' => sub {
        my $key = key('n');
        no_answer(scalar $cache->incr($key), 'incr of an absent key');
        yes($cache->set($key, 10), 'set');
        same(15, $cache->incr($key, 5), 'incr');
        same(9, $cache->decr($key, 6), 'decr');
        same('9 ', $cache->get($key), 'a shorter number is padded');
        same('0', '' . ($cache->decr($key, 1000) + 0), 'decr stops at 0');
        yes($cache->set(key('word'), 'word'), 'set');
        no_answer(scalar $cache->incr(key('word')), 'incr of a word');
        same('word', $cache->get(key('word')), 'get after the error');
        same([15, 25], [$cache->incr_multi([key('m1'), 5], [key('m2'), 5])], 'incr_multi')
            if $fast && $cache->set(key('m1'), 10) && $cache->set(key('m2'), 20);
    },
    'bad keys' => sub {
        my $longest = substr key('k' x 250), 0, 250;
        yes($cache->set($longest, 'x'), 'set of the longest key');
        same('x', scalar $cache->get($longest), 'get of the longest key');
        no_answer(scalar $cache->set($longest . 'k', 'x'), 'set of a key that is too long');
        # Cache::Memcached itself does not understand an error in reply to get and waits for more.
        no_answer(scalar $cache->get($longest . 'k'), 'get of a key that is too long') if $fast;
        same('x', scalar $cache->get($longest), 'get after the error');
    },
    'statistics and version' => sub {
        if ($fast) {
            yes($cache->server_versions->{$first} =~ /^\d+\.\d+\.\d+/, 'version');
            return;
        }
        my $statistics = $cache->stats('misc')->{hosts}{$first}{misc};
        for my $name (qw(pid uptime time version curr_items total_items get_hits get_misses bytes limit_maxbytes evictions curr_connections threads)) {
            yes(defined $statistics->{$name}, $name);
        }
        yes($cache->stats('misc')->{total}{curr_items} > 0, 'the total of all servers');
        yes($cache->stats('items')->{hosts}{$first}{items} =~ /^STAT items:\d+:number \d+/m, 'items');
        yes($cache->stats('slabs')->{hosts}{$first}{slabs} =~ /^STAT active_slabs \d+/m, 'slabs');
    },
    'two servers' => sub {
        my $both = connected([$first, $second]);
        my %values = map { key("two$_") => "value $_" } 0 .. 199;
        yes($both->set($_, $values{$_}), 'set') for sort keys %values;
        same(\%values, $both->get_multi(sort keys %values), 'get_multi');
        my @found = map { connected([$_])->get_multi(sort keys %values) } $first, $second;
        yes(scalar %$_, 'both servers are in use') for @found;
        same(\%values, {%{$found[0]}, %{$found[1]}}, 'what the servers hold together');
        return unless $fast;
        my $ketama = connected([$first, $second], ketama_points => 150);
        yes($ketama->set($_, $values{$_}), 'set') for sort keys %values;
        same(\%values, $ketama->get_multi(sort keys %values), 'get_multi');
    },
    'short lives end' => sub {
        wait_until(sub { !defined $cache->get(key('short')) }, 'the item expires');
        same('x', scalar $cache->get(key($_)), "$_ lives on") for 'long', 'absolute', $fast ? map { "touched$_" } 1 .. 4 : ();
        yes($cache->add(key('short'), 'again'), 'add after expiry');
    },
    'flush' => sub {
        yes($cache->flush_all, 'flush_all');
        same(undef, scalar $cache->get(key('long')), 'after flush_all');
        yes($cache->set(key('after'), 'y'), 'set');
        same('y', $cache->get(key('after')), 'straight after flush_all');
    },
);

$cache = connected([$first]);
while (my ($name, $step) = splice @steps, 0, 2) {
    next if eval { $step->(); 1 };
    print "$class, $name: $@";
    exit 1;
}
print "$class: right\n";
